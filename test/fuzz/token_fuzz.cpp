// Two texts, one a line: refused as malformed with a hint, or their own canonical text; their merge parses again.
#include "core/error.hpp"
#include "core/token.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

namespace {

bool parse(std::string_view text, Token* token) {
  try {
    const ParsedToken parsed = parse_token(text);
    fuzz::check(text.size() <= max_token_text, "a token is bounded");
    fuzz::check(parsed.signed_text == to_text(parsed.token), "there is one text for a token");
    const std::string signature = parsed.signature ? to_text(*parsed.signature) : "";
    fuzz::check(text == std::string(parsed.signed_text) + signature, "and one with the signature");
    *token = parsed.token;
    return true;
  } catch (const Error& error) {
    fuzz::check(error.kind() == ErrorKind::malformed_text && !error.hint().empty(), "a refusal has a hint");
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  const std::size_t line = std::min(text.find('\n'), text.size());
  Token a;
  Token b;
  if (!parse(text.substr(0, line), &a) || !parse(text.substr(std::min(line + 1, text.size())), &b)) return 0;
  try {
    a.merge(b);
  } catch (const Error& error) {
    fuzz::check(error.kind() == ErrorKind::limit_exceeded, "merging is bounded");
    return 0;
  }
  fuzz::check(parse_token(to_text(a)).token == a, "a merged token parses");
  return 0;
}
