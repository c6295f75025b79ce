// A file that lines are appended to (line.hpp), flushed to disk before anything is confirmed. The file is below the
// directory that the program was started with, and never a link. A line that a crash cut short is ended by a newline
// before the next one.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sink/line.hpp"
#include "sink/target.hpp"

namespace meridian::sink {
namespace {

class FileTarget final : public Target {
 public:
  explicit FileTarget(const Options& options) {
    options.allow_only({"directory", "file"});
    const std::string file = options.require("file");
    if (file.empty() || file.find('/') != std::string::npos || file == "." || file == "..") {
      throw OptionError("option \"file\" must be a plain name, in the directory for sinks");
    }
    path_ = options.require("directory") + "/" + file;
  }
  ~FileTarget() override { close_file(); }

  void deliver(std::span<const SinkEvent* const> events, std::span<Outcome> outcomes, const Idle&) override {
    std::string lines;
    for (const SinkEvent* event : events) lines += line_of(*event);
    const char* const what = write_all(lines);
    const int error = errno;
    for (Outcome& outcome : outcomes) {
      outcome = what == nullptr ? Outcome{Outcome::Kind::delivered, {}}
                                : Outcome{Outcome::Kind::retry, std::string(what) + ": " + std::strerror(error)};
    }
    if (what != nullptr) close_file();
  }

 private:
  /// Null, or what failed.
  const char* write_all(const std::string& lines) {
    if (descriptor_ < 0 && !open_file()) return "the file cannot be opened";
    for (std::size_t done = 0; done < lines.size();) {
      const ssize_t written = ::write(descriptor_, lines.data() + done, lines.size() - done);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return "the file cannot be written";
      done += static_cast<std::size_t>(written);
    }
    return ::fdatasync(descriptor_) == 0 ? nullptr : "the file cannot be flushed";
  }

  bool open_file() {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (descriptor_ < 0) return false;
    const off_t size = ::lseek(descriptor_, 0, SEEK_END);
    char last = '\n';
    if (size > 0 && ::pread(descriptor_, &last, 1, size - 1) != 1) return false;
    return last == '\n' || ::write(descriptor_, "\n", 1) == 1;
  }

  void close_file() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

  std::string path_;
  int descriptor_ = -1;
};

}  // namespace

std::unique_ptr<Target> make_file_target(const Options& options) { return std::make_unique<FileTarget>(options); }

}  // namespace meridian::sink
