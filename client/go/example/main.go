// Command example makes five calls, each of another kind: example ADDRESSES FILE
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	standpipe "standpipe.dev/go"
	v1 "standpipe.dev/go/v1"
)

func must[T any](value T, err error) T {
	if call := standpipe.ErrorOf(err); call != nil {
		log.Fatal(call)
	} else if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	client := must(standpipe.Connect(strings.Split(os.Args[1], ","), nil))
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // for all calls together
	defer cancel()

	texts := &v1.EmbedTextRequest{Texts: []string{"A dog runs in the park.", "A puppy plays outside."}}
	vectors := must(client.Text.EmbedText(ctx, texts))
	fmt.Printf("embed: %d vectors of %d numbers\n", len(vectors.Embeddings), vectors.Dimensions)

	labels := must(client.Text.ClassifyText(ctx, &v1.ClassifyTextRequest{Texts: []string{"What a wonderful film!"}}))
	best := labels.Results[0].Labels[0]
	fmt.Printf("classify: %s %.2f\n", best.Label, best.Score)

	question := []*v1.ChatMessage{{Role: "user", Content: "Why do firefighters use a standpipe? Answer in two sentences."}}
	answer := must(client.Generation.StreamChat(ctx, &v1.StreamChatRequest{Messages: question}))
	fmt.Print("chat: ")
	for event, err := answer.Recv(); err != io.EOF; event, err = answer.Recv() {
		fmt.Print(must(event, err).GetDelta().GetContent())
	}

	sound := []*v1.Audio{{Source: &v1.Audio_Content{Content: must(os.ReadFile(os.Args[2]))}}}
	heard := must(client.Audio.TranscribeAudio(ctx, &v1.TranscribeAudioRequest{Audios: sound}))
	fmt.Printf("\ntranscribe: %s\n", heard.Results[0].Text)

	// A server without room, RESOURCE_EXHAUSTED, says when to come again (as does one that still loads).
	again, err := client.Text.EmbedText(ctx, texts)
	call := standpipe.ErrorOf(err)
	for retry := 0; retry < 4 && call != nil && call.RetryAfter != nil; retry++ {
		time.Sleep(*call.RetryAfter)
		again, err = client.Text.EmbedText(ctx, texts)
		call = standpipe.ErrorOf(err)
	}
	fmt.Printf("overload: there was room for %d texts\n", len(must(again, err).Embeddings))
}
