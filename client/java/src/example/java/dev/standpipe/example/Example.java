package dev.standpipe.example;

import com.google.protobuf.ByteString;
import dev.standpipe.CallError;
import dev.standpipe.StandpipeClient;
import dev.standpipe.v1.*;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** Calls one or several servers: {@code Example ADDRESS,… SOUND}. */
public final class Example {
    public static void main(String[] args) throws IOException, InterruptedException {
        try (StandpipeClient client = StandpipeClient.connect(args[0].split(","))) {
            var texts = EmbedTextRequest.newBuilder().addTexts("A dog runs.").addTexts("A puppy plays.").build();
            EmbedTextResponse got = client.text().embedText(texts); // has 60 seconds, as it says nothing else
            System.out.printf("embed: %d vectors of %d numbers%n", got.getEmbeddingsCount(), got.getDimensions());

            var film = ClassifyTextRequest.newBuilder().addTexts("What a wonderful film!").build();
            LabelScore best = client.text().classifyText(film).getResults(0).getLabels(0);
            System.out.printf("classify: %s %.2f%n", best.getLabel(), best.getScore());

            var question = ChatMessage.newBuilder().setRole("user").setContent("Why do firefighters use a standpipe?");
            var limits = GenerationParameters.newBuilder().setMaxNewTokens(60);
            var chat = StreamChatRequest.newBuilder().addMessages(question).setParameters(limits).build();
            System.out.print("chat: ");
            client.generation().withDeadlineAfter(2, TimeUnit.MINUTES).streamChat(chat).forEachRemaining(part -> {
                System.out.print(part.getDelta().getContent());
                System.out.flush();
            });

            var sound = Audio.newBuilder().setContent(ByteString.copyFrom(Files.readAllBytes(Path.of(args[1]))));
            var speech = TranscribeAudioRequest.newBuilder().addAudios(sound).build();
            System.out.printf("%ntranscribe: %s%n", client.audio().transcribeAudio(speech).getResults(0).getText());

            EmbedTextResponse answer = embedPatiently(client, texts);
            System.out.printf("overload: there was room for %d texts%n", answer.getEmbeddingsCount());
        } catch (StatusRuntimeException thrown) {
            System.err.println(CallError.of(thrown));
            System.exit(1);
        }
    }

    // A server without room, RESOURCE_EXHAUSTED, says when to come again.
    private static EmbedTextResponse embedPatiently(StandpipeClient client, EmbedTextRequest request)
            throws InterruptedException {
        for (int tries = 1; ; tries++) {
            try {
                return client.text().embedText(request);
            } catch (StatusRuntimeException thrown) {
                CallError error = CallError.of(thrown);
                if (error.retryAfter().isEmpty() || tries == 5) throw thrown;
                Thread.sleep(error.retryAfter().get().toMillis());
            }
        }
    }
}
