// Package standpipe calls Standpipe, a gRPC server for Hugging Face pipelines.
//
// Connect gives the typed stubs of all its services; their messages are in standpipe.dev/go/v1. A call's deadline is
// that of its context: always give one, since a call to a server that has vanished never ends without. ErrorOf reads
// what a failed call tells.
package standpipe

import (
	_ "embed" // for service_config.json
	"encoding/json"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/health" // without it the service config's health checks are left out silently
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	v1 "standpipe.dev/go/v1"
)

// MaxMessageBytes is the largest message that a client takes or sends; as large as a server takes unless configured.
const MaxMessageBytes = 64 << 20

// How clients of every language retry, balance and watch the servers' health.
//
//go:embed service_config.json
var serviceConfig string

// Client has the stubs of all services, on one connection that goroutines share.
type Client struct {
	Text            v1.TextServiceClient
	Generation      v1.GenerationServiceClient
	Vision          v1.VisionServiceClient
	Audio           v1.AudioServiceClient
	ImageGeneration v1.ImageGenerationServiceClient
	Tokenizers      v1.TokenizerServiceClient
	Models          v1.ModelServiceClient

	connection *grpc.ClientConn
}

// Connect returns a client of the servers at these addresses, each host:port. Calls are spread over all of them; of a
// single address, over all that its name stands for in the DNS. Where transport is nil, calls travel as plain text.
// Options come after the client's own, and win over them; but credentials go into transport.
//
// It doesn't wait for a server: a call fails with UNAVAILABLE where there is none. It errs where there is no address, or
// gRPC can't read one or an option. Close the client when it has served its time.
func Connect(
	addresses []string, transport credentials.TransportCredentials, options ...grpc.DialOption,
) (*Client, error) {
	if len(addresses) == 0 {
		return nil, errors.New("standpipe: no address to connect to")
	}
	config, err := configOf(addresses)
	if err != nil {
		return nil, err
	}
	security := grpc.WithInsecure()
	if transport != nil {
		security = grpc.WithTransportCredentials(transport)
	}
	own := []grpc.DialOption{
		security,
		grpc.WithDefaultServiceConfig(config),
		grpc.WithDisableServiceConfig(), // a record beside a name in the DNS would replace it
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(MaxMessageBytes),
			grpc.MaxCallSendMsgSize(MaxMessageBytes),
			grpc.MaxRetryRPCBufferSize(MaxMessageBytes), // else no picture of a phone would be sent again
		),
	}
	scheme := "dns"
	if len(addresses) > 1 {
		list := listed(addresses)
		scheme = list.Scheme()
		own = append(own, grpc.WithResolvers(list))
	}
	// Of several, the first is what the calls' :authority says; the resolver knows them all.
	connection, err := grpc.Dial(scheme+":///"+addresses[0], append(own, options...)...)
	if err != nil {
		return nil, err
	}
	return &Client{
		Text:            v1.NewTextServiceClient(connection),
		Generation:      v1.NewGenerationServiceClient(connection),
		Vision:          v1.NewVisionServiceClient(connection),
		Audio:           v1.NewAudioServiceClient(connection),
		ImageGeneration: v1.NewImageGenerationServiceClient(connection),
		Tokenizers:      v1.NewTokenizerServiceClient(connection),
		Models:          v1.NewModelServiceClient(connection),
		connection:      connection,
	}, nil
}

// Close ends the connection, and with it what calls are still under way.
func (c *Client) Close() error {
	return c.connection.Close()
}

// configOf is the service config, without health checks for one address: a lone server says itself why it doesn't answer,
// and a lone proxy isn't ill because one of its servers is.
func configOf(addresses []string) (string, error) {
	if len(addresses) > 1 {
		return serviceConfig, nil
	}
	var config map[string]interface{}
	if err := json.Unmarshal([]byte(serviceConfig), &config); err != nil {
		return "", err
	}
	delete(config, "healthCheckConfig")
	alone, err := json.Marshal(config)
	return string(alone), err
}

// listed resolves to the addresses as they stand: gRPC has no name for several.
func listed(addresses []string) *manual.Resolver {
	state := resolver.State{}
	for _, address := range addresses {
		// Each server shows a certificate for its own name, not for the first one's.
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address, ServerName: address})
	}
	list := manual.NewBuilderWithScheme("standpipe")
	list.InitialState(state)
	return list
}
