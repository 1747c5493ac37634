package dev.standpipe.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.PrototypeMarshaller;
import io.grpc.ServiceDescriptor;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** One call that the table asks for. It knows of RPCs only what their generated descriptors say. */
final class Case {
    private final MethodDescriptor<Message, Message> method;
    private final List<Message> requests = new ArrayList<>();
    private final Metadata metadata = new Metadata();
    private final long timeoutNanos;
    private final int cancelAfter;

    /**
     * Reads a case.
     *
     * @throws IllegalArgumentException for an RPC that there isn't
     * @throws InvalidProtocolBufferException for a request that doesn't fit its message
     */
    Case(JsonObject json) throws InvalidProtocolBufferException, ReflectiveOperationException {
        method = find(json.get("service").getAsString(), json.get("method").getAsString());
        for (JsonElement request : json.getAsJsonArray("requests")) {
            requests.add(parse(request));
        }
        json.getAsJsonObject("metadata").entrySet().forEach(entry -> metadata.put(
                Metadata.Key.of(entry.getKey(), Metadata.ASCII_STRING_MARSHALLER), entry.getValue().getAsString()));
        timeoutNanos = (long) (json.get("timeout").getAsDouble() * TimeUnit.SECONDS.toNanos(1));
        cancelAfter = json.get("cancel_after").isJsonNull() ? 0 : json.get("cancel_after").getAsInt();
    }

    /**
     * Makes the call.
     *
     * @param received takes what comes
     * @throws io.grpc.StatusRuntimeException where it fails; also as the cause of another
     */
    void run(Channel channel, List<Message> received) {
        Channel with = ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(metadata));
        try (Context.CancellableContext context = Context.current().withCancellation()) {
            context.run(() -> call(with, message -> {
                received.add(message);
                if (received.size() == cancelAfter) {
                    context.cancel(null);
                }
            }));
        }
    }

    private void call(Channel channel, Consumer<Message> received) {
        CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(timeoutNanos, TimeUnit.NANOSECONDS);
        switch (method.getType()) {
            case UNARY -> received.accept(ClientCalls.blockingUnaryCall(channel, method, options, requests.get(0)));
            case SERVER_STREAMING -> ClientCalls.blockingServerStreamingCall(channel, method, options, requests.get(0))
                    .forEachRemaining(received);
            default -> stream(channel, options, received);
        }
    }

    private void stream(Channel channel, CallOptions options, Consumer<Message> received) {
        CompletableFuture<Void> end = new CompletableFuture<>();
        StreamObserver<Message> sender =
                ClientCalls.asyncBidiStreamingCall(channel.newCall(method, options), new StreamObserver<>() {
                    @Override
                    public void onNext(Message message) {
                        received.accept(message);
                    }

                    @Override
                    public void onError(Throwable error) {
                        end.completeExceptionally(error);
                    }

                    @Override
                    public void onCompleted() {
                        end.complete(null);
                    }
                });
        requests.forEach(sender::onNext);
        sender.onCompleted();
        end.join();
    }

    // All messages are Messages, but a descriptor that is found by its name can't say so.
    @SuppressWarnings("unchecked")
    private static MethodDescriptor<Message, Message> find(String service, String method)
            throws ReflectiveOperationException {
        String stubs = "dev.standpipe.v1" + service.substring(service.lastIndexOf('.')) + "Grpc";
        var descriptor = (ServiceDescriptor) Class.forName(stubs).getMethod("getServiceDescriptor").invoke(null);
        String name = MethodDescriptor.generateFullMethodName(service, method);
        return descriptor.getMethods().stream()
                .filter(candidate -> candidate.getFullMethodName().equals(name))
                .map(found -> (MethodDescriptor<Message, Message>) found)
                .findAny()
                .orElseThrow(() -> new IllegalArgumentException("no such RPC: " + name));
    }

    private Message parse(JsonElement request) throws InvalidProtocolBufferException {
        var marshaller = (PrototypeMarshaller<Message>) method.getRequestMarshaller();
        Message.Builder builder = marshaller.getMessagePrototype().newBuilderForType();
        JsonFormat.parser().merge(request.toString(), builder);
        return builder.build();
    }
}
