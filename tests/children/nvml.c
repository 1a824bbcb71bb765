/* A GPU that does not exist, as NVML reports it: `gcc -shared -fPIC -o libnvidia-ml.so.1 nvml.c`.

   The file that NVML_FREE_MB names has the free megabytes of its 8000. Only the functions that the server calls. */

#include <stdio.h>
#include <stdlib.h>

#define SUCCESS 0
#define INVALID_ARGUMENT 2
#define MEGABYTE 1048576ULL
#define TOTAL_MB 8000ULL

struct memory { unsigned long long total, free, used; };

int nvmlInitWithFlags(unsigned int flags) { (void)flags; return SUCCESS; }

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int result) { return result ? "invalid argument" : "success"; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
  *device = (void *)1;
  return index ? INVALID_ARGUMENT : SUCCESS;
}

int nvmlDeviceGetName(void *device, char *name, unsigned int length) {
  (void)device;
  snprintf(name, length, "Test GPU 8000");
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory) {
  unsigned long long free_mb = 0;
  FILE *file = fopen(getenv("NVML_FREE_MB"), "r");
  (void)device;
  if (!file || fscanf(file, "%llu", &free_mb) != 1) return INVALID_ARGUMENT;
  fclose(file);
  memory->total = TOTAL_MB * MEGABYTE;
  memory->free = free_mb * MEGABYTE;
  memory->used = memory->total - memory->free;
  return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, void *processes) {
  (void)device;
  (void)processes;
  *count = 0;
  return SUCCESS;
}
