// Command conformance is the runner of the Go client: conformance TARGET CASES. What it reads and prints is said in
// tests/conformance/README.md.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	standpipe "standpipe.dev/go"
)

// testCase is what the table says of one case.
type testCase struct {
	Name        string            `json:"name"`
	Service     string            `json:"service"`
	Method      string            `json:"method"`
	Requests    []json.RawMessage `json:"requests"`
	Metadata    map[string]string `json:"metadata"`
	Timeout     float64           `json:"timeout"`
	CancelAfter *int              `json:"cancel_after"`
}

// outcome is what came of a case.
type outcome struct {
	Name     string            `json:"name"`
	Status   string            `json:"status"`
	Messages []json.RawMessage `json:"messages"`
	Error    *failure          `json:"error"`
}

// failure is what the client's CallError read.
type failure struct {
	Message    string            `json:"message"`
	Reason     string            `json:"reason"`
	Domain     string            `json:"domain"`
	Metadata   map[string]string `json:"metadata"`
	Fields     map[string]string `json:"fields"`
	RetryAfter *float64          `json:"retry_after"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: conformance TARGET CASES")
	}
	if err := runAll(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func runAll(target, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var cases []testCase
	if err := json.Unmarshal(content, &cases); err != nil {
		return err
	}
	client, err := standpipe.Connect([]string{target}, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	lines := json.NewEncoder(os.Stdout)
	for _, one := range cases {
		if err := lines.Encode(run(client, one)); err != nil {
			return err
		}
	}
	return nil
}

func run(client *standpipe.Client, one testCase) outcome {
	result := outcome{Name: one.Name, Messages: []json.RawMessage{}}
	result.end(one.call(client, &result))
	return result
}

// call makes the call and keeps what it receives.
func (one testCase) call(client *standpipe.Client, result *outcome) error {
	rpc, err := find(client, one.Service, one.Method)
	if err != nil {
		return err
	}
	requests, err := rpc.parse(one.Requests)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(one.Timeout*float64(time.Second)))
	defer cancel()
	return rpc.call(metadata.NewOutgoingContext(ctx, metadata.New(one.Metadata)), requests, func(m proto.Message) error {
		printed, err := protojson.Marshal(m)
		result.Messages = append(result.Messages, printed)
		if one.CancelAfter != nil && len(result.Messages) == *one.CancelAfter {
			cancel()
		}
		return err
	})
}

// end sets how the case ended.
func (o *outcome) end(err error) {
	call := standpipe.ErrorOf(err)
	switch {
	case err == nil:
		o.Status = code.Code_OK.String()
	case call == nil:
		o.Status = "RUNNER_FAILED"
		o.Error = &failure{Message: err.Error()}
	default:
		o.Status = code.Code(call.Code).String()
		o.Error = &failure{
			Message:  call.Message,
			Reason:   call.Reason,
			Domain:   call.Domain,
			Metadata: call.Metadata,
			Fields:   call.Fields,
		}
		if call.RetryAfter != nil {
			seconds := call.RetryAfter.Seconds()
			o.Error.RetryAfter = &seconds
		}
	}
}
