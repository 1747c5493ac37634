package dev.standpipe;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** The service config that all clients of Standpipe share: retries, balancing, health. */
final class ServiceConfig {
    private static final String RESOURCE = "service_config.json";

    private ServiceConfig() {}

    /** Reads the config in the form that gRPC takes: all numbers as {@link Double}, as Gson makes them. */
    static Map<String, Object> load() {
        try (Reader reader =
                new InputStreamReader(ServiceConfig.class.getResourceAsStream(RESOURCE), StandardCharsets.UTF_8)) {
            return new Gson().fromJson(reader, new TypeToken<Map<String, Object>>() {}.getType());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
