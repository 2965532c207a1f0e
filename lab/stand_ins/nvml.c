/*
 * Stand-in for NVIDIA's libnvidia-ml.so.1: answers what the device plugin and nvidia-smi ask about GPUs that do not
 * exist. It runs no CUDA and says in its names and versions that it is a stand-in. README.md says where the answers
 * come from. Functions that are not here get generated stubs that answer "not supported", because an unresolved
 * symbol would kill the caller at the first call.
 */
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define GPUS_FILE "/etc/edge-gpu-lab/gpus.conf"
#define MAX_GPUS 16
#define DRIVER_VERSION "580.0.0-stand-in"
#define NVML_VERSION "13.580.0-stand-in"
#define CUDA_VERSION 13000
#define MEMORY_BYTES (16ULL << 30)
#define POLL_MILLISECONDS 500

/* The header comes with NVIDIA's Go bindings, where a handle is a struct of one pointer. */
struct nvmlDevice_st {
    unsigned int minor;
    char uuid[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
    char name[NVML_DEVICE_NAME_V2_BUFFER_SIZE];
};

struct nvmlEventSet_st {
    unsigned char registered[MAX_GPUS];
};

static struct nvmlDevice_st gpus[MAX_GPUS];
static unsigned int gpu_count;
static int initialized;

/* All GPUs of the machine, whether this process may see them or not; -1 without a driver. */
static int read_gpus(struct nvmlDevice_st *found)
{
    FILE *file = fopen(GPUS_FILE, "r");
    char line[512];
    int count = 0;

    if (file == NULL)
        return -1;
    while (count < MAX_GPUS && fgets(line, sizeof line, file) != NULL) {
        struct nvmlDevice_st *gpu = &found[count];
        if (line[0] != '#' && sscanf(line, "%u %95s %95[^\n]", &gpu->minor, gpu->uuid, gpu->name) == 3)
            count++;
    }
    fclose(file);
    return count;
}

static int has_device_node(const struct nvmlDevice_st *gpu)
{
    char path[64];
    struct stat status;

    snprintf(path, sizeof path, "/dev/nvidia%u", gpu->minor);
    return stat(path, &status) == 0;
}

static nvmlReturn_t check(const struct nvmlDevice_st *gpu)
{
    struct nvmlDevice_st present[MAX_GPUS];
    int count, i;

    if (!initialized)
        return NVML_ERROR_UNINITIALIZED;
    if (gpu < gpus || gpu >= gpus + gpu_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    count = read_gpus(present);
    for (i = 0; i < count; i++)
        if (strcmp(present[i].uuid, gpu->uuid) == 0)
            return NVML_SUCCESS;
    return NVML_ERROR_GPU_IS_LOST;
}

static nvmlReturn_t give_text(const char *text, char *buffer, unsigned int length)
{
    if (buffer == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(text) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return NVML_SUCCESS;
}

#define CHECK(gpu, result)                           \
    do {                                             \
        nvmlReturn_t checked = check(gpu);           \
        if (checked != NVML_SUCCESS)                 \
            return checked;                          \
        if ((result) == NULL)                        \
            return NVML_ERROR_INVALID_ARGUMENT;      \
    } while (0)

nvmlReturn_t nvmlInit_v2(void)
{
    struct nvmlDevice_st all[MAX_GPUS];
    int count, i;

    /* Callers pair each Init with a Shutdown, nested; the GPUs are those of the first one. */
    if (initialized > 0) {
        initialized++;
        return NVML_SUCCESS;
    }
    count = read_gpus(all);
    if (count < 0)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    gpu_count = 0;
    for (i = 0; i < count; i++)
        if (has_device_node(&all[i]))
            gpus[gpu_count++] = all[i];
    initialized = 1;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlInit(void)
{
    return nvmlInit_v2();
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    return nvmlInit_v2();
}

nvmlReturn_t nvmlShutdown(void)
{
    if (!initialized)
        return NVML_ERROR_UNINITIALIZED;
    initialized--;
    return NVML_SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t result)
{
    switch (result) {
    case NVML_SUCCESS:
        return "The operation was successful";
    case NVML_ERROR_UNINITIALIZED:
        return "NVML was not first initialized with nvmlInit()";
    case NVML_ERROR_INVALID_ARGUMENT:
        return "A supplied argument is invalid";
    case NVML_ERROR_NOT_SUPPORTED:
        return "The requested operation is not available on the stand-in GPU";
    case NVML_ERROR_NOT_FOUND:
        return "A query to find an object was unsuccessful";
    case NVML_ERROR_INSUFFICIENT_SIZE:
        return "An input argument is not large enough";
    case NVML_ERROR_DRIVER_NOT_LOADED:
        return "The stand-in driver is not loaded: no " GPUS_FILE;
    case NVML_ERROR_TIMEOUT:
        return "The operation timed out";
    case NVML_ERROR_GPU_IS_LOST:
        return "The GPU is lost: it is no longer in " GPUS_FILE;
    default:
        return "An error of the NVML stand-in";
    }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
    return initialized ? give_text(DRIVER_VERSION, version, length) : NVML_ERROR_UNINITIALIZED;
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length)
{
    return give_text(NVML_VERSION, version, length);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    if (version == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *version = CUDA_VERSION;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
    return nvmlSystemGetCudaDriverVersion_v2(version);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
    if (!initialized)
        return NVML_ERROR_UNINITIALIZED;
    if (count == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = gpu_count;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    if (!initialized)
        return NVML_ERROR_UNINITIALIZED;
    if (device == NULL || index >= gpu_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    device->handle = &gpus[index];
    return check(device->handle);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    unsigned int i;

    if (!initialized)
        return NVML_ERROR_UNINITIALIZED;
    if (uuid == NULL || device == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (i = 0; i < gpu_count; i++) {
        if (strcmp(gpus[i].uuid, uuid) == 0) {
            device->handle = &gpus[i];
            return check(device->handle);
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length)
{
    CHECK(device.handle, uuid);
    return give_text(device.handle->uuid, uuid, length);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length)
{
    CHECK(device.handle, name);
    return give_text(device.handle->name, name, length);
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index)
{
    CHECK(device.handle, index);
    *index = (unsigned int)(device.handle - gpus);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int *minor)
{
    CHECK(device.handle, minor);
    *minor = device.handle->minor;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *is_mig)
{
    CHECK(device.handle, is_mig);
    *is_mig = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    CHECK(device.handle, memory);
    memory->total = MEMORY_BYTES;
    memory->used = 0;
    memory->free = MEMORY_BYTES;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    CHECK(device.handle, memory);
    memory->total = MEMORY_BYTES;
    memory->reserved = memory->used = 0;
    memory->free = MEMORY_BYTES;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    CHECK(device.handle, major);
    if (minor == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *major = 8;
    *minor = 6;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    CHECK(device.handle, pci);
    memset(pci, 0, sizeof *pci);
    pci->bus = device.handle->minor + 1;
    pci->pciDeviceId = 0x000010de; /* vendor NVIDIA, no device of theirs */
    snprintf(pci->busId, sizeof pci->busId, "00000000:%02X:00.0", pci->bus);
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "0000:%02X:00.0", pci->bus);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t one, nvmlDevice_t other, nvmlGpuTopologyLevel_t *level)
{
    CHECK(one.handle, level);
    CHECK(other.handle, level);
    *level = one.handle == other.handle ? NVML_TOPOLOGY_INTERNAL : NVML_TOPOLOGY_SYSTEM;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long *types)
{
    CHECK(device.handle, types);
    *types = nvmlEventTypeXidCriticalError | nvmlEventTypeDoubleBitEccError | nvmlEventTypeSingleBitEccError;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
    if (set == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    set->handle = calloc(1, sizeof *set->handle);
    return set->handle == NULL ? NVML_ERROR_MEMORY : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{
    (void)types;
    CHECK(device.handle, set.handle);
    set.handle->registered[device.handle - gpus] = 1;
    return NVML_SUCCESS;
}

/*
 * No event ever comes but one: a GPU taken out of the file is lost. The wait says so after a short pause, not at once:
 * the device plugin asks again without one, and its log would fill the disk.
 */
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout_milliseconds)
{
    unsigned int left = timeout_milliseconds, i;

    if (set.handle == NULL || data == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (;;) {
        unsigned int slice = left < POLL_MILLISECONDS ? left : POLL_MILLISECONDS;
        struct timespec pause = {slice / 1000, (long)(slice % 1000) * 1000000L};

        nanosleep(&pause, NULL);
        left -= slice;
        for (i = 0; i < gpu_count; i++)
            if (set.handle->registered[i] && check(&gpus[i]) == NVML_ERROR_GPU_IS_LOST)
                return NVML_ERROR_GPU_IS_LOST;
        if (left == 0)
            return NVML_ERROR_TIMEOUT;
    }
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
    free(set.handle);
    return NVML_SUCCESS;
}
