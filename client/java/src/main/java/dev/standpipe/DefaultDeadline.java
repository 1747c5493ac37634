package dev.standpipe;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Context;
import io.grpc.MethodDescriptor;
import java.util.concurrent.TimeUnit;

/** Gives a deadline to a call that has none. One on a stub would begin with the stub; this begins with the call. */
final class DefaultDeadline implements ClientInterceptor {
    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
        // gRPC keeps the context's deadline by itself; it may be later than the default.
        if (options.getDeadline() != null || Context.current().getDeadline() != null) {
            return next.newCall(method, options);
        }
        return next.newCall(
                method, options.withDeadlineAfter(StandpipeClient.DEFAULT_TIMEOUT_SECONDS, TimeUnit.SECONDS));
    }
}
