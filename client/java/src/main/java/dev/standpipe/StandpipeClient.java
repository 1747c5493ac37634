package dev.standpipe;

import dev.standpipe.v1.AudioServiceGrpc;
import dev.standpipe.v1.AudioServiceGrpc.AudioServiceBlockingStub;
import dev.standpipe.v1.GenerationServiceGrpc;
import dev.standpipe.v1.GenerationServiceGrpc.GenerationServiceBlockingStub;
import dev.standpipe.v1.ImageGenerationServiceGrpc;
import dev.standpipe.v1.ImageGenerationServiceGrpc.ImageGenerationServiceBlockingStub;
import dev.standpipe.v1.ModelServiceGrpc;
import dev.standpipe.v1.ModelServiceGrpc.ModelServiceBlockingStub;
import dev.standpipe.v1.TextServiceGrpc;
import dev.standpipe.v1.TextServiceGrpc.TextServiceBlockingStub;
import dev.standpipe.v1.TokenizerServiceGrpc;
import dev.standpipe.v1.TokenizerServiceGrpc.TokenizerServiceBlockingStub;
import dev.standpipe.v1.VisionServiceGrpc;
import dev.standpipe.v1.VisionServiceGrpc.VisionServiceBlockingStub;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Calls one or several servers of Standpipe. Safe for use by many threads; one client is enough for a program.
 *
 * <p>Calls are spread over the servers and retried as the packaged service config says. A call without a deadline
 * of its own (a stub's {@code withDeadlineAfter}) gets one of {@value #DEFAULT_TIMEOUT_SECONDS} seconds. A failed
 * call throws {@link io.grpc.StatusRuntimeException}, which {@link CallError#of} reads.
 *
 * <pre>{@code
 * try (StandpipeClient client = StandpipeClient.connect("127.0.0.1:50051", "127.0.0.1:50052")) {
 *     var request = EmbedTextRequest.newBuilder().addTexts("Water stands ready in the pipe.").build();
 *     List<Float> vector = client.text().embedText(request).getEmbeddings(0).getValuesList();
 * }
 * }</pre>
 */
public final class StandpipeClient implements AutoCloseable {
    /** Deadline of a call that sets none, in seconds. */
    public static final int DEFAULT_TIMEOUT_SECONDS = 60;

    /**
     * Largest message that a client takes, in bytes. A request that is larger than what a server takes, as much
     * unless configured, fails with RESOURCE_EXHAUSTED; gRPC for Java would call it CANCELLED if it looked first.
     */
    public static final int MAX_MESSAGE_BYTES = 64 << 20;

    // What all requests that may have to be repeated take together: a few of the largest.
    private static final long RETRY_BYTES = 4L * MAX_MESSAGE_BYTES;

    private static final int CLOSE_SECONDS = 5;

    private final ManagedChannel channel;

    private StandpipeClient(ManagedChannel channel) {
        this.channel = channel;
    }

    /**
     * Connects in plain text. Connections are made with the first call.
     *
     * @param addresses one or several servers, each as {@code host:port}
     * @throws IllegalArgumentException for no address, or one of another form
     */
    public static StandpipeClient connect(String... addresses) {
        return connect(InsecureChannelCredentials.create(), addresses);
    }

    /**
     * Connects with credentials, such as {@link io.grpc.TlsChannelCredentials}. Each server proves its own host name.
     *
     * @param credentials what the connections are secured with
     * @param addresses one or several servers, each as {@code host:port}
     * @throws IllegalArgumentException for no address, or one of another form
     */
    public static StandpipeClient connect(ChannelCredentials credentials, String... addresses) {
        return new StandpipeClient(
                Grpc.newChannelBuilder(AddressList.target(List.of(addresses)), credentials)
                        .defaultServiceConfig(ServiceConfig.load(addresses.length > 1))
                        .enableRetry()
                        .perRpcBufferLimit(MAX_MESSAGE_BYTES)
                        .retryBufferSize(RETRY_BYTES)
                        .maxInboundMessageSize(MAX_MESSAGE_BYTES)
                        .intercept(new DefaultDeadline())
                        .build());
    }

    /** Tasks that read text. */
    public TextServiceBlockingStub text() {
        return TextServiceGrpc.newBlockingStub(channel);
    }

    /** Text generation and chat. */
    public GenerationServiceBlockingStub generation() {
        return GenerationServiceGrpc.newBlockingStub(channel);
    }

    /** Tasks that look at pictures. */
    public VisionServiceBlockingStub vision() {
        return VisionServiceGrpc.newBlockingStub(channel);
    }

    /** Tasks that read or make sound. A stream of requests needs the asynchronous stub, on {@link #channel}. */
    public AudioServiceBlockingStub audio() {
        return AudioServiceGrpc.newBlockingStub(channel);
    }

    /** Tasks that draw pictures. */
    public ImageGenerationServiceBlockingStub imageGeneration() {
        return ImageGenerationServiceGrpc.newBlockingStub(channel);
    }

    /** Text to tokens, and back. */
    public TokenizerServiceBlockingStub tokenizers() {
        return TokenizerServiceGrpc.newBlockingStub(channel);
    }

    /** What a server serves. */
    public ModelServiceBlockingStub models() {
        return ModelServiceGrpc.newBlockingStub(channel);
    }

    /** For asynchronous stubs: {@code GenerationServiceGrpc.newStub(client.channel())}. This client closes it. */
    public Channel channel() {
        return channel;
    }

    /** Cancels the calls in flight and closes the connections. */
    @Override
    public void close() {
        channel.shutdownNow();
        try {
            channel.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }
}
