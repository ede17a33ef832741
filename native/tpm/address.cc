// The parser of address.h.
#include "address.h"

#include <arpa/inet.h>

#include <cerrno>
#include <cstring>

namespace holdfast {
namespace {

constexpr Failure kUnreadable = {"swtpm must be path=SOCKET or host=ADDRESS,port=NUMBER", EINVAL};

Failure ParsePath(const std::string& path, SocketAddress* out) {
  if (path.empty()) return kUnreadable;
  if (path.size() >= sizeof out->local.sun_path) return {"path of swtpm's socket", ENAMETOOLONG};
  out->local = {};
  out->local.sun_family = AF_UNIX;
  memcpy(out->local.sun_path, path.c_str(), path.size() + 1);
  out->length = sizeof out->local;
  return {};
}

bool ParsePort(const std::string& text, in_port_t* out) {
  if (text.empty() || text.size() > 5 || text.find_first_not_of("0123456789") != std::string::npos) return false;
  const unsigned long port = strtoul(text.c_str(), nullptr, 10);
  if (port < 1 || port > 65535) return false;
  *out = htons(static_cast<in_port_t>(port));
  return true;
}

Failure ParseHost(const std::string& host, in_port_t port, SocketAddress* out) {
  const char* address = host == "localhost" ? "127.0.0.1" : host.c_str();
  out->ipv4 = {};
  if (inet_pton(AF_INET, address, &out->ipv4.sin_addr) == 1) {
    out->ipv4.sin_family = AF_INET;
    out->ipv4.sin_port = port;
    out->length = sizeof out->ipv4;
    return {};
  }
  out->ipv6 = {};
  if (inet_pton(AF_INET6, address, &out->ipv6.sin6_addr) != 1) return kUnreadable;
  out->ipv6.sin6_family = AF_INET6;
  out->ipv6.sin6_port = port;
  out->length = sizeof out->ipv6;
  return {};
}

}  // namespace

Failure ParseSwtpmAddress(const std::string& text, SocketAddress* out) {
  constexpr char kPath[] = "path=";
  constexpr char kHost[] = "host=";
  constexpr char kPort[] = ",port=";
  // A path may hold commas: it goes on to the end.
  if (text.compare(0, strlen(kPath), kPath) == 0) return ParsePath(text.substr(strlen(kPath)), out);
  const size_t comma = text.find(kPort);
  in_port_t port = 0;
  if (text.compare(0, strlen(kHost), kHost) != 0 || comma == std::string::npos ||
      !ParsePort(text.substr(comma + strlen(kPort)), &port)) {
    return kUnreadable;
  }
  return ParseHost(text.substr(strlen(kHost), comma - strlen(kHost)), port, out);
}

}  // namespace holdfast
