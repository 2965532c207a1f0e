/* Lists the GPUs by NVML, one a line: index, UUID, name, memory in MiB. Exits 0 when the driver answered.
 * The library comes into the container with the driver, so it is loaded at run time. */
#include <dlfcn.h>
#include <stdio.h>

enum { TEXT_BYTES = 128, SUCCESS = 0 };
typedef struct nvmlDevice_st *device_t;
typedef struct { unsigned long long total, free, used; } memory_t;

static void *library;

static void *symbol(const char *name)
{
    void *found = dlsym(library, name);
    if (!found)
        fprintf(stderr, "ERROR the driver's NVML has no %s: %s\n", name, dlerror());
    return found;
}

int main(void)
{
    library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!library) {
        fprintf(stderr, "ERROR cannot load NVML: %s\n"
                        "  fix: start this container with the nvidia runtime (RuntimeClass nvidia, --runtime nvidia)\n",
                dlerror());
        return 1;
    }
    int (*init)(void) = symbol("nvmlInit_v2");
    int (*shutdown)(void) = symbol("nvmlShutdown");
    const char *(*error_text)(int) = symbol("nvmlErrorString");
    int (*driver_version)(char *, unsigned) = symbol("nvmlSystemGetDriverVersion");
    int (*count_of)(unsigned *) = symbol("nvmlDeviceGetCount_v2");
    int (*device_at)(unsigned, device_t *) = symbol("nvmlDeviceGetHandleByIndex_v2");
    int (*uuid_of)(device_t, char *, unsigned) = symbol("nvmlDeviceGetUUID");
    int (*name_of)(device_t, char *, unsigned) = symbol("nvmlDeviceGetName");
    int (*memory_of)(device_t, memory_t *) = symbol("nvmlDeviceGetMemoryInfo");
    if (!init || !shutdown || !error_text || !driver_version || !count_of || !device_at || !uuid_of || !name_of ||
        !memory_of)
        return 1;

    unsigned count = 0;
    int code = init();
    if (code == SUCCESS)
        code = count_of(&count);
    for (unsigned index = 0; code == SUCCESS && index < count; index++) {
        device_t device;
        char uuid[TEXT_BYTES], name[TEXT_BYTES];
        memory_t memory;
        if ((code = device_at(index, &device)) != SUCCESS || (code = uuid_of(device, uuid, sizeof uuid)) != SUCCESS ||
            (code = name_of(device, name, sizeof name)) != SUCCESS || (code = memory_of(device, &memory)) != SUCCESS)
            break;
        printf("%u %s %s, %llu MiB\n", index, uuid, name, memory.total >> 20);
    }
    if (code != SUCCESS) {
        fprintf(stderr, "ERROR NVML: %s\n", error_text(code));
        return 1;
    }
    char version[TEXT_BYTES];
    if (driver_version(version, sizeof version) == SUCCESS)
        fprintf(stderr, "driver %s, %u GPUs\n", version, count);
    shutdown();
    return 0;
}
