package dev.standpipe;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a failed call tells, read from its status and the google.rpc details that came with it.
 *
 * @param code the gRPC status
 * @param message for people
 * @param reason for programs: "LIMIT_EXCEEDED", "QUEUE_FULL"; empty where no server answered
 * @param domain who gave the reason: "standpipe", or what stands between; empty where no server answered
 * @param metadata what the reason is about, such as the model's name and the request id
 * @param fields what is wrong with which field of the request, by its path: {@code texts[3]}
 * @param retryAfter after how long a retry is worth while; empty where none is
 */
public record CallError(
        Status.Code code,
        String message,
        String reason,
        String domain,
        Map<String, String> metadata,
        Map<String, String> fields,
        Optional<Duration> retryAfter) {
    private static final Metadata.Key<byte[]> DETAILS =
            Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

    /**
     * Reads what a stub threw, or an asynchronous call's {@code onError} was given.
     *
     * @param thrown a {@link io.grpc.StatusRuntimeException}, {@link io.grpc.StatusException}, or what such a one
     *     caused; anything else reads as {@code UNKNOWN}
     */
    public static CallError of(Throwable thrown) {
        Status status = Status.fromThrowable(thrown);
        Metadata trailers = Status.trailersFromThrowable(thrown);
        Details details = Details.read(trailers == null ? null : trailers.get(DETAILS));
        return new CallError(
                status.getCode(),
                message(status),
                details.info.getReason(),
                details.info.getDomain(),
                details.info.getMetadataMap(),
                Collections.unmodifiableMap(details.fields),
                details.retryAfter);
    }

    /** Code, message and fields in one line, for people. */
    @Override
    public String toString() {
        return fields.entrySet().stream()
                .map(field -> "; " + field.getKey() + ": " + field.getValue())
                .collect(Collectors.joining("", code + ": " + message, ""));
    }

    // Where no server answered, gRPC says but "io exception", and its cause says which.
    private static String message(Status status) {
        String cause = status.getCause() == null ? null : status.getCause().getMessage();
        return Stream.of(status.getDescription(), cause).filter(Objects::nonNull).collect(Collectors.joining(": "));
    }

    private static final class Details {
        ErrorInfo info = ErrorInfo.getDefaultInstance();
        final Map<String, String> fields = new LinkedHashMap<>();
        Optional<Duration> retryAfter = Optional.empty();

        static Details read(byte[] trailer) {
            Details details = new Details();
            if (trailer == null) {
                return details;
            }
            try {
                for (Any detail : com.google.rpc.Status.parseFrom(trailer).getDetailsList()) {
                    details.add(detail);
                }
            } catch (InvalidProtocolBufferException error) {
                // Something between garbled them: keep what was read, for the status still says what went wrong.
            }
            return details;
        }

        private void add(Any detail) throws InvalidProtocolBufferException {
            if (detail.is(ErrorInfo.class)) {
                info = detail.unpack(ErrorInfo.class);
            } else if (detail.is(BadRequest.class)) {
                detail.unpack(BadRequest.class)
                        .getFieldViolationsList()
                        .forEach(violation -> fields.put(violation.getField(), violation.getDescription()));
            } else if (detail.is(RetryInfo.class)) {
                var delay = detail.unpack(RetryInfo.class).getRetryDelay();
                retryAfter = Optional.of(Duration.ofSeconds(delay.getSeconds(), delay.getNanos()));
            }
        }
    }
}
