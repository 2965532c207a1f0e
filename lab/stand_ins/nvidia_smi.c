/*
 * Stand-in for nvidia-smi: the few queries that scripts make, answered by whatever libnvidia-ml.so.1 the loader finds,
 * with the real program's output format, messages and exit codes for them.
 */
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_BAD_ARGUMENT 2
#define EXIT_NO_DEVICE 6
#define EXIT_NO_DRIVER 9
#define EXIT_NO_LIBRARY 12
#define TEXT 96

struct gpu {
    unsigned int index;
    char uuid[TEXT], name[TEXT], bus_id[TEXT];
    nvmlMemory_t memory;
};

static struct {
    nvmlReturn_t (*init)(void);
    nvmlReturn_t (*count)(unsigned int *);
    nvmlReturn_t (*handle)(unsigned int, nvmlDevice_t *);
    nvmlReturn_t (*uuid)(nvmlDevice_t, char *, unsigned int);
    nvmlReturn_t (*name)(nvmlDevice_t, char *, unsigned int);
    nvmlReturn_t (*pci)(nvmlDevice_t, nvmlPciInfo_t *);
    nvmlReturn_t (*memory)(nvmlDevice_t, nvmlMemory_t *);
    nvmlReturn_t (*driver)(char *, unsigned int);
    const char *(*error)(nvmlReturn_t);
} nvml;

static char driver_version[TEXT];
static unsigned int gpu_count;

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);

    if (found == NULL) {
        fprintf(stderr, "nvidia-smi (stand-in): libnvidia-ml.so.1 has no %s\n", name);
        exit(EXIT_NO_LIBRARY);
    }
    return found;
}

static void load_nvml(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);

    if (library == NULL) {
        printf("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA "
               "Display Driver is properly installed and present in your system.\n");
        exit(EXIT_NO_LIBRARY);
    }
    *(void **)&nvml.init = symbol(library, "nvmlInit_v2");
    *(void **)&nvml.count = symbol(library, "nvmlDeviceGetCount_v2");
    *(void **)&nvml.handle = symbol(library, "nvmlDeviceGetHandleByIndex_v2");
    *(void **)&nvml.uuid = symbol(library, "nvmlDeviceGetUUID");
    *(void **)&nvml.name = symbol(library, "nvmlDeviceGetName");
    *(void **)&nvml.pci = symbol(library, "nvmlDeviceGetPciInfo_v3");
    *(void **)&nvml.memory = symbol(library, "nvmlDeviceGetMemoryInfo");
    *(void **)&nvml.driver = symbol(library, "nvmlSystemGetDriverVersion");
    *(void **)&nvml.error = symbol(library, "nvmlErrorString");
    if (nvml.init() != NVML_SUCCESS) {
        printf("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the "
               "latest NVIDIA driver is installed and running.\n");
        exit(EXIT_NO_DRIVER);
    }
}

static void must(nvmlReturn_t result, unsigned int index)
{
    if (result != NVML_SUCCESS) {
        printf("Unable to determine the device handle for gpu %u: %s\n", index, nvml.error(result));
        exit(result);
    }
}

static void read_gpu(unsigned int index, struct gpu *gpu)
{
    nvmlDevice_t device;
    nvmlPciInfo_t pci;

    gpu->index = index;
    must(nvml.handle(index, &device), index);
    must(nvml.uuid(device, gpu->uuid, TEXT), index);
    must(nvml.name(device, gpu->name, TEXT), index);
    must(nvml.memory(device, &gpu->memory), index);
    must(nvml.pci(device, &pci), index);
    snprintf(gpu->bus_id, TEXT, "%s", pci.busId);
}

static void mebibytes(unsigned long long bytes, int units, char *value)
{
    snprintf(value, TEXT, "%llu%s", bytes >> 20, units ? " MiB" : "");
}

/* The value of one query field, or of its header when gpu is NULL; 0 when there is no such field. */
static int field(const char *name, const struct gpu *gpu, int units, char *value)
{
    const char *unit = units ? " [MiB]" : "";

    if (strcmp(name, "index") == 0)
        gpu ? snprintf(value, TEXT, "%u", gpu->index) : snprintf(value, TEXT, "index");
    else if (strcmp(name, "uuid") == 0 || strcmp(name, "gpu_uuid") == 0)
        snprintf(value, TEXT, "%s", gpu ? gpu->uuid : name);
    else if (strcmp(name, "name") == 0 || strcmp(name, "gpu_name") == 0)
        snprintf(value, TEXT, "%s", gpu ? gpu->name : name);
    else if (strcmp(name, "driver_version") == 0)
        snprintf(value, TEXT, "%s", gpu ? driver_version : name);
    else if (strcmp(name, "count") == 0)
        gpu ? snprintf(value, TEXT, "%u", gpu_count) : snprintf(value, TEXT, "count");
    else if (strcmp(name, "pci.bus_id") == 0 || strcmp(name, "gpu_bus_id") == 0)
        snprintf(value, TEXT, "%s", gpu ? gpu->bus_id : name);
    else if (strcmp(name, "memory.total") == 0)
        gpu ? mebibytes(gpu->memory.total, units, value) : (void)snprintf(value, TEXT, "memory.total%s", unit);
    else if (strcmp(name, "memory.used") == 0)
        gpu ? mebibytes(gpu->memory.used, units, value) : (void)snprintf(value, TEXT, "memory.used%s", unit);
    else if (strcmp(name, "memory.free") == 0)
        gpu ? mebibytes(gpu->memory.free, units, value) : (void)snprintf(value, TEXT, "memory.free%s", unit);
    else
        return 0;
    return 1;
}

static void print_row(const char *fields, const struct gpu *gpu, int units)
{
    char copy[512], value[TEXT], *name, *rest = NULL;
    const char *separator = "";

    snprintf(copy, sizeof copy, "%s", fields);
    for (name = strtok_r(copy, ", ", &rest); name != NULL; name = strtok_r(NULL, ", ", &rest)) {
        if (!field(name, gpu, units, value)) {
            printf("Field \"%s\" is not a valid field to query (by the stand-in nvidia-smi).\n", name);
            exit(EXIT_BAD_ARGUMENT);
        }
        printf("%s%s", separator, value);
        separator = ", ";
    }
    printf("\n");
}

static int wanted(const char *ids, const struct gpu *gpu)
{
    char copy[512], index[16], *id, *rest = NULL;

    if (ids == NULL)
        return 1;
    snprintf(copy, sizeof copy, "%s", ids);
    snprintf(index, sizeof index, "%u", gpu->index);
    for (id = strtok_r(copy, ",", &rest); id != NULL; id = strtok_r(NULL, ",", &rest))
        if (strcmp(id, index) == 0 || strcmp(id, gpu->uuid) == 0 || strcmp(id, gpu->bus_id) == 0)
            return 1;
    return 0;
}

static void usage(FILE *stream)
{
    fprintf(stream, "nvidia-smi, a stand-in of the edge-gpu lab: no GPU, no driver, no CUDA behind it\n"
                    "  nvidia-smi                         a short summary\n"
                    "  nvidia-smi -L                      list GPUs\n"
                    "  nvidia-smi --query-gpu=FIELD[,...] --format=csv[,noheader][,nounits] [-i ID[,...]]\n"
                    "      fields: index uuid name driver_version count pci.bus_id memory.total|used|free\n");
}

int main(int argc, char **argv)
{
    const char *fields = NULL, *format = NULL, *ids = NULL;
    int list = 0, shown = 0, i;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-L") == 0 || strcmp(argv[i], "--list-gpus") == 0)
            list = 1;
        else if (strncmp(argv[i], "--query-gpu=", 12) == 0)
            fields = argv[i] + 12;
        else if (strncmp(argv[i], "--format=", 9) == 0)
            format = argv[i] + 9;
        else if (strncmp(argv[i], "--id=", 5) == 0)
            ids = argv[i] + 5;
        else if (strcmp(argv[i], "-i") == 0 && i + 1 < argc)
            ids = argv[++i];
        else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
            return usage(stdout), 0;
        else {
            fprintf(stderr, "Invalid combination of input arguments (stand-in nvidia-smi): %s\n", argv[i]);
            usage(stderr);
            return EXIT_BAD_ARGUMENT;
        }
    }
    if (fields != NULL && (format == NULL || strncmp(format, "csv", 3) != 0)) {
        printf("\"--format=\" switch is missing. Please run 'nvidia-smi -h' for help.\n");
        return EXIT_BAD_ARGUMENT;
    }
    load_nvml();
    if (nvml.driver(driver_version, TEXT) != NVML_SUCCESS || nvml.count(&gpu_count) != NVML_SUCCESS)
        return EXIT_NO_DRIVER;
    if (!list && fields == NULL)
        printf("NVIDIA-SMI stand-in (edge-gpu lab)   Driver Version: %s\n", driver_version);
    if (fields != NULL && strstr(format, "noheader") == NULL)
        print_row(fields, NULL, strstr(format, "nounits") == NULL);
    for (i = 0; i < (int)gpu_count; i++) {
        struct gpu gpu;

        read_gpu((unsigned int)i, &gpu);
        if (!wanted(ids, &gpu))
            continue;
        shown++;
        if (fields != NULL)
            print_row(fields, &gpu, strstr(format, "nounits") == NULL);
        else
            printf("GPU %u: %s (UUID: %s)\n", gpu.index, gpu.name, gpu.uuid);
    }
    if (shown == 0) {
        printf("No devices were found\n");
        return EXIT_NO_DEVICE;
    }
    return 0;
}
