package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	standpipe "standpipe.dev/go"
)

// rpc is a method of a typed stub, and what the protos say of it.
type rpc struct {
	stub       reflect.Value
	descriptor protoreflect.MethodDescriptor
}

// receiver takes each message that a call receives.
type receiver func(proto.Message) error

// streaming says which side of an RPC sends more than one message.
type streaming struct{ client, server bool }

var calls = map[streaming]func(rpc, context.Context, []proto.Message, receiver) error{
	{client: false, server: false}: rpc.unary,
	{client: false, server: true}:  rpc.serverStream,
	{client: true, server: true}:   rpc.bothStream,
}

// find looks a method up on the client's stubs.
func find(client *standpipe.Client, service, method string) (rpc, error) {
	name := protoreflect.FullName(service).Append(protoreflect.Name(method))
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return rpc{}, fmt.Errorf("%s: %w", name, err)
	}
	descriptor, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return rpc{}, fmt.Errorf("%s is no RPC", name)
	}
	stubs := reflect.ValueOf(client).Elem()
	for i := 0; i < stubs.NumField(); i++ {
		if stubs.Type().Field(i).Type.Name() == string(descriptor.Parent().Name())+"Client" {
			return rpc{stubs.Field(i).MethodByName(method), descriptor}, nil
		}
	}
	return rpc{}, fmt.Errorf("the client has no stub of %s", service)
}

// parse reads requests into the method's message class.
func (r rpc) parse(requests []json.RawMessage) ([]proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(r.descriptor.Input().FullName())
	if err != nil {
		return nil, err
	}
	messages := make([]proto.Message, len(requests))
	for i, request := range requests {
		messages[i] = kind.New().Interface()
		if err := protojson.Unmarshal(request, messages[i]); err != nil {
			return nil, err
		}
	}
	if !r.descriptor.IsStreamingClient() && len(messages) != 1 {
		return nil, fmt.Errorf("%d requests, where the RPC takes one", len(messages))
	}
	return messages, nil
}

// call makes the call and gives receive all that it receives.
func (r rpc) call(ctx context.Context, requests []proto.Message, receive receiver) error {
	kind := streaming{r.descriptor.IsStreamingClient(), r.descriptor.IsStreamingServer()}
	call, ok := calls[kind]
	if !ok {
		return fmt.Errorf("this runner has no way to call %s", r.descriptor.FullName())
	}
	return call(r, ctx, requests, receive)
}

func (r rpc) unary(ctx context.Context, requests []proto.Message, receive receiver) error {
	response, err := invoke(r.stub, ctx, requests[0])
	if err != nil {
		return err
	}
	return receive(response.(proto.Message))
}

func (r rpc) serverStream(ctx context.Context, requests []proto.Message, receive receiver) error {
	stream, err := invoke(r.stub, ctx, requests[0])
	if err != nil {
		return err
	}
	return receiveAll(stream, receive)
}

func (r rpc) bothStream(ctx context.Context, requests []proto.Message, receive receiver) error {
	stream, err := invoke(r.stub, ctx)
	if err != nil {
		return err
	}
	if err := sendAll(stream, requests); err != nil {
		return err
	}
	return receiveAll(stream, receive)
}

// sendAll sends the requests and half-closes.
func sendAll(stream interface{}, requests []proto.Message) error {
	send := reflect.ValueOf(stream).MethodByName("Send")
	for _, request := range requests {
		_, err := invoke(send, request)
		if err == io.EOF {
			return nil // the server has ended the call; how, receiving tells
		}
		if err != nil {
			return err
		}
	}
	return stream.(grpc.ClientStream).CloseSend()
}

// receiveAll receives until the server ends the call.
func receiveAll(stream interface{}, receive receiver) error {
	recv := reflect.ValueOf(stream).MethodByName("Recv")
	for {
		message, err := invoke(recv)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := receive(message.(proto.Message)); err != nil {
			return err
		}
	}
}

// invoke calls a function of generated code; the last that such a one returns is an error.
func invoke(function reflect.Value, arguments ...interface{}) (interface{}, error) {
	taken := make([]reflect.Value, len(arguments))
	for i, argument := range arguments {
		taken[i] = reflect.ValueOf(argument)
	}
	returned := function.Call(taken)
	err, _ := returned[len(returned)-1].Interface().(error)
	return returned[0].Interface(), err
}
