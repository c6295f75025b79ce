// What delivering to Elasticsearch and looking through it have in common.
#pragma once

#include "sink/http_client.hpp"

namespace meridian::sink {

/// A name as that of an index: without upper-case letters.
[[nodiscard]] std::string elasticsearch_index(std::string text);
/// Option `url`, without a slash at its end.
[[nodiscard]] std::string elasticsearch_url(const Options& options);
[[nodiscard]] HttpClient::Settings elasticsearch_settings(const Options& options);

}  // namespace meridian::sink
