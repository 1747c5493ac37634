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

    /**
     * Reads the config in the form that gRPC takes: all numbers as {@link Double}, as Gson makes them.
     *
     * @param choice whether there are several servers; of one, health isn't asked for: it says itself why it doesn't
     *     answer, and a proxy isn't ill because one of its servers is
     */
    static Map<String, Object> load(boolean choice) {
        try (Reader reader =
                new InputStreamReader(ServiceConfig.class.getResourceAsStream(RESOURCE), StandardCharsets.UTF_8)) {
            Map<String, Object> config =
                    new Gson().fromJson(reader, new TypeToken<Map<String, Object>>() {}.getType());
            if (!choice) {
                config.remove("healthCheckConfig");
            }
            return config;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
