// The first calls of a C++ program: example [ADDRESSES [FILE]], the addresses with commas between.
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <standpipe/client.h>
#include <thread>

using namespace standpipe::v1;

void Tour(standpipe::Client& client, const std::string& sound) {
  EmbedTextRequest texts;
  for (const auto* text : {"Water stands ready in the pipe.", "Any hose couples."}) texts.add_texts(text);
  const auto reply = standpipe::Call(client.text(), &TextService::Stub::EmbedText, texts);
  std::cout << "embed: " << reply.embeddings_size() << " vectors of " << reply.dimensions() << " numbers" << std::endl;

  ClassifyTextRequest film;
  film.add_texts("What a wonderful film!");
  const auto best = standpipe::Call(client.text(), &TextService::Stub::ClassifyText, film).results(0).labels(0);
  std::cout << "classify: " << best.label() << std::fixed << std::setprecision(2) << " " << best.score() << "\nchat: ";

  StreamChatRequest conversation;
  ChatMessage& question = *conversation.add_messages();
  question.set_role("user");
  question.set_content("Why do firefighters use a standpipe? Answer in two sentences.");
  standpipe::CallContext context(std::chrono::minutes(1));
  const auto answer = client.generation().StreamChat(&context, conversation);
  for (StreamChatResponse part; answer->Read(&part);) std::cout << part.delta().content() << std::flush;
  standpipe::Check(answer->Finish());

  TranscribeAudioRequest speech;
  speech.add_audios()->set_content(sound);
  const auto said = standpipe::Call(client.audio(), &AudioService::Stub::TranscribeAudio, speech);
  std::cout << "\ntranscribe: " << said.results(0).text() << std::endl;
  for (int attempt = 1;; ++attempt) {
    try {
      standpipe::Call(client.text(), &TextService::Stub::ClassifyText, film);
      std::cout << "overload: answered at attempt " << attempt << std::endl;
      break;
    } catch (const standpipe::CallError& error) {  // A server whose queue is full says when there may be room.
      if (error.code != grpc::RESOURCE_EXHAUSTED || !error.retry_after || attempt == 5) throw;
      std::this_thread::sleep_for(*error.retry_after);
    }
  }
}

int main(int argc, char** argv) try {
  std::istringstream list(argc > 1 ? argv[1] : "127.0.0.1:50051");
  std::vector<std::string> addresses;
  for (std::string address; std::getline(list, address, ',');) addresses.push_back(address);
  const auto path = argc > 2 ? argv[2] : std::filesystem::path(argv[0]).replace_filename("speech.ogg");
  std::string sound(std::filesystem::file_size(path), '\0');
  std::ifstream(path, std::ios::binary).read(sound.data(), static_cast<std::streamsize>(sound.size()));
  standpipe::Client client(addresses);
  Tour(client, sound);
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
