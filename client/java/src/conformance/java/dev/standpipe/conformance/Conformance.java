package dev.standpipe.conformance;

import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import dev.standpipe.CallError;
import dev.standpipe.StandpipeClient;
import io.grpc.Channel;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;

/** The runner of the Java client: {@code conformance TARGET CASES}; tests/conformance/README.md says what it prints. */
public final class Conformance {
    private static final Gson GSON = new Gson();

    private Conformance() {}

    /** Makes the calls of a file of cases, one after the other. */
    public static void main(String[] args) throws IOException {
        if (args.length != 2) {
            System.err.println("usage: conformance TARGET CASES");
            System.exit(2);
        }
        try (StandpipeClient client = StandpipeClient.connect(args[0]);
                Reader reader = Files.newBufferedReader(Path.of(args[1]))) {
            for (JsonElement one : JsonParser.parseReader(reader).getAsJsonArray()) {
                System.out.println(report(client.channel(), one.getAsJsonObject()));
                System.out.flush();
            }
        }
    }

    private static JsonObject report(Channel channel, JsonObject one) {
        JsonObject line = new JsonObject();
        line.add("name", one.get("name"));
        List<Message> received = new ArrayList<>();
        try {
            CallError error = run(channel, one, received);
            line.addProperty("status", error == null ? "OK" : error.code().name());
            line.add("messages", json(received));
            line.add("error", error == null ? JsonNull.INSTANCE : json(error));
        } catch (IOException | ReflectiveOperationException | RuntimeException problem) {
            JsonObject error = new JsonObject();
            error.addProperty("message", problem.toString());
            line.addProperty("status", "RUNNER_FAILED");
            line.add("messages", new JsonArray());
            line.add("error", error);
        }
        return line;
    }

    /** Makes a call; null where it went well. */
    private static CallError run(Channel channel, JsonObject one, List<Message> received)
            throws IOException, ReflectiveOperationException {
        Case call = new Case(one);
        try {
            call.run(channel, received);
            return null;
        } catch (StatusRuntimeException thrown) {
            return CallError.of(thrown);
        } catch (CompletionException thrown) {
            return CallError.of(thrown.getCause());
        }
    }

    private static JsonArray json(List<Message> messages) throws InvalidProtocolBufferException {
        JsonArray array = new JsonArray();
        for (Message message : messages) {
            array.add(JsonParser.parseString(JsonFormat.printer().print(message)));
        }
        return array;
    }

    private static JsonObject json(CallError error) {
        JsonObject object = new JsonObject();
        object.addProperty("message", error.message());
        object.addProperty("reason", error.reason());
        object.addProperty("domain", error.domain());
        object.add("metadata", GSON.toJsonTree(error.metadata()));
        object.add("fields", GSON.toJsonTree(error.fields()));
        object.addProperty("retry_after", error.retryAfter().map(time -> time.toNanos() / 1e9).orElse(null));
        return object;
    }
}
