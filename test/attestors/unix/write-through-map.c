// Writes TEXT over the beginning of FILE through a shared mapping: on some file systems its times stay as they were.
//   write-through-map FILE TEXT
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int file = open(argv[1], O_RDWR);
  if (file < 0) {
    perror(argv[1]);
    return 3;
  }
  size_t length = strlen(argv[2]);
  char *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (map == MAP_FAILED) {
    perror("mmap");
    return 4;
  }
  memcpy(map, argv[2], length);
  return munmap(map, length);
}
