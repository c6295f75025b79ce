// The position is written to a new file that then takes the place of the old one, so there is always a whole one.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "core/json_string.hpp"
#include "sink/ledger.hpp"
#include "sink/line.hpp"

namespace meridian::sink {
namespace {

[[noreturn]] void fail(const std::string& path) { throw std::runtime_error(path + ": " + std::strerror(errno)); }

void write_durably(const std::string& path, const std::string& text, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) fail(path);
  const bool written =
      ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  if (!written) fail(path);
}

class FileLedger final : public Ledger {
 public:
  explicit FileLedger(std::string path) : path_(std::move(path)) {}

  std::optional<cdc::Position> position() override {
    std::ifstream file(path_);
    std::string text;
    if (!file || !std::getline(file, text)) return std::nullopt;
    const auto parsed = cdc::parse_position(text);
    if (!parsed) throw std::runtime_error(path_ + " does not hold a position");
    return parsed->position;
  }

  void advance(const SinkEvent& last, const Counts&) override {
    cdc::Buffer text;
    cdc::write_position(text, last.position);
    text.append('\n');
    write_durably(path_ + ".new", std::string(text.view()), O_TRUNC);
    if (std::rename((path_ + ".new").c_str(), path_.c_str()) != 0) fail(path_);
  }

  void report(const std::string& state, const std::string& error) override {
    if (error.empty() && state == state_) return;
    state_ = state;
    std::fprintf(stderr, "%s%s%s\n", state.c_str(), error.empty() ? "" : ": ", error.c_str());
  }

  void put_aside(const SinkEvent& event, const std::string& reason) override {
    std::string line = R"({"reason":)";
    append_json_string(line, reason);
    line += R"(,"event":)" + line_of(event);
    line.pop_back();
    write_durably(path_ + ".dead_letters", line + "}\n", O_APPEND);
  }

  std::vector<SinkEvent> aside() override { return {}; }
  void supersede(const SinkEvent&) override {}
  Wish wish() override { return Wish::run; }
  std::vector<DeadLetter> asked_again() override { return {}; }
  void settle(std::int64_t, const Outcome&) override {}
  std::optional<SnapshotTask> next_snapshot() override { return std::nullopt; }
  std::optional<Chunk> read_chunk(const SnapshotTask&, const std::string&) override { return std::nullopt; }
  void snapshot_advanced(const SnapshotTask&, const Chunk&) override {}

 private:
  std::string path_;
  std::string state_;
};

}  // namespace

std::unique_ptr<Ledger> open_file_ledger(const std::string& position_file) {
  return std::make_unique<FileLedger>(position_file);
}

}  // namespace meridian::sink
