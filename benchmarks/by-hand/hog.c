/*
 * hog MIB LOG: what a by-hand move carries. Fills MIB of memory with data that does not compress, keeps one established
 * TCP connection (to itself, over lo), sends a byte over it every millisecond, and appends each gap of 20 ms or more
 * between two of them to LOG, as {"startEpochNs","gapMs"} by CLOCK_REALTIME. A first line {"ready":true} says that the
 * memory is filled.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAGE_WORDS 512
#define LEAST_GAP_NS 20000000

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Opened for each line: no file outside the container is open when it is dumped. */
static void append(const char *log, const char *line) {
  int file = open(log, O_WRONLY | O_APPEND | O_CREAT, 0644);
  if (file < 0) die(log);
  if (write(file, line, strlen(line)) < 0) die(log);
  close(file);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_word(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static void fill(uint64_t *page, uint64_t number) {
  for (int word = 0; word < PAGE_WORDS; word++) page[word] = next_word(&number);
}

static void connect_to_self(int ends[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &length) != 0)
    die("listen");
  ends[0] = socket(AF_INET, SOCK_STREAM, 0);
  if (ends[0] < 0 || connect(ends[0], (struct sockaddr *)&address, length) != 0) die("connect");
  ends[1] = accept(listener, NULL, NULL);
  if (ends[1] < 0) die("accept");
  close(listener);
  setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: hog MIB LOG\n");
    return 2;
  }
  const char *log = argv[2];
  int64_t pages = atoll(argv[1]) * 256;
  uint64_t (*memory)[PAGE_WORDS] =
      mmap(NULL, (size_t)pages * sizeof *memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("mmap");
  for (int64_t page = 0; page < pages; page++) fill(memory[page], (uint64_t)page << 32);
  int ends[2];
  connect_to_self(ends);
  append(log, "{\"ready\":true}\n");
  for (int64_t last = now_ns();;) {
    char byte = 'x', line[200];
    if (write(ends[0], &byte, 1) != 1 || read(ends[1], &byte, 1) != 1) die("connection");
    int64_t now = now_ns(), gap = now - last;
    if (gap >= LEAST_GAP_NS) {
      snprintf(line, sizeof line, "{\"startEpochNs\":%" PRId64 ",\"gapMs\":%.3f}\n", last, (double)gap / 1e6);
      append(log, line);
    }
    last = now;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
}
