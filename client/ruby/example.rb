# frozen_string_literal: true

# The first calls of a Ruby program: example [ADDRESSES [FILE]], the addresses with commas between.

require "standpipe"

V1 = Standpipe::V1

# Yields, and again where the server's queue is full: it says after how many seconds there may be room.
def patiently(attempts: 5)
  yield
rescue GRPC::ResourceExhausted => e
  pause = Standpipe::CallError.of(e).retry_after
  raise if pause.nil? || (attempts -= 1).zero?

  sleep pause
  retry
end

def embed(client)
  request = V1::EmbedTextRequest.new(texts: ["Water stands ready in the pipe.", "Any hose couples."])
  response = client.text.embed_text(request)
  puts "embed: #{response.embeddings.size} vectors of #{response.dimensions} numbers"
end

def classify(client)
  response = client.text.classify_text(V1::ClassifyTextRequest.new(texts: ["What a wonderful film!"]))
  best = response.results.first.labels.first
  format("%s %.2f", best.label, best.score)
end

def chat(client)
  question = V1::ChatMessage.new(role: "user", content: "Why do firefighters use a standpipe? Answer in two sentences.")
  request = V1::StreamChatRequest.new(messages: [question])
  print "chat: "
  client.generation.stream_chat(request, deadline: Time.now + 30).each { |part| print part.delta&.content }
  puts
end

def transcribe(client, file)
  request = V1::TranscribeAudioRequest.new(audios: [V1::Audio.new(content: File.binread(file))])
  puts "transcribe: #{client.audio.transcribe_audio(request).results.first.text}"
end

addresses, file = ARGV
$stdout.sync = true
begin
  Standpipe::Client.open(*(addresses || "127.0.0.1:50051").split(","), timeout: 60) do |client| # seconds, of each call
    embed(client)
    puts "classify: #{classify(client)}"
    chat(client)
    transcribe(client, file || File.join(__dir__, "build/speech.ogg"))
    puts "overload: #{patiently { classify(client) }}"
  end
rescue GRPC::BadStatus => e
  abort Standpipe::CallError.of(e).message
rescue ArgumentError, SystemCallError => e
  abort e.message
end
