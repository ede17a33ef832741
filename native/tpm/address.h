// Where swtpm listens, as its tcti names it.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "../common.h"

namespace holdfast {

struct SocketAddress {
  union {
    sockaddr any = {};
    sockaddr_un local;
    sockaddr_in ipv4;
    sockaddr_in6 ipv6;
  };
  socklen_t length = 0;
};

// Reads `path=SOCKET` or `host=ADDRESS,port=NUMBER`. An address is numeric, or `localhost` for 127.0.0.1: a lookup of
// names knows no deadline.
Failure ParseSwtpmAddress(const std::string& text, SocketAddress* out);

}  // namespace holdfast
