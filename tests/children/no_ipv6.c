/* A machine without IPv6: `gcc -shared -fPIC -o no_ipv6.so no_ipv6.c -ldl`, loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

int socket(int family, int type, int protocol) {
  if (family == AF_INET6) {
    errno = EAFNOSUPPORT;
    return -1;
  }
  int (*next)(int, int, int) = dlsym(RTLD_NEXT, "socket");
  return next(family, type, protocol);
}
