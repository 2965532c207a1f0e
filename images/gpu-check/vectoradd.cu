// Adds two vectors on every visible GPU and compares with the same sums made by the CPU.
// One line a GPU, PASS or FAIL; exits 0 when there is at least one and all pass.
#include <cstdio>
#include <cuda_runtime.h>
#include <vector>

namespace {

constexpr int elements = 1 << 20;
constexpr int threads_a_block = 256;

__global__ void add(const float *a, const float *b, float *sum)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < elements)
        sum[i] = a[i] + b[i];
}

// False, after a line that says what failed, when `code` is an error.
bool worked(cudaError_t code, const char *what)
{
    if (code == cudaSuccess)
        return true;
    std::fprintf(stderr, "ERROR %s: %s\n", what, cudaGetErrorString(code));
    return false;
}

bool add_on(int gpu)
{
    const size_t bytes = elements * sizeof(float);
    std::vector<float> a(elements), b(elements), sum(elements, -1.0f);
    for (int i = 0; i < elements; i++) {
        a[i] = static_cast<float>(i % 1024);
        b[i] = static_cast<float>(gpu + 1);
    }
    float *on_gpu[3] = {};
    bool ran = worked(cudaSetDevice(gpu), "cudaSetDevice");
    for (float *&vector : on_gpu)
        ran = ran && worked(cudaMalloc(&vector, bytes), "cudaMalloc");
    ran = ran && worked(cudaMemcpy(on_gpu[0], a.data(), bytes, cudaMemcpyHostToDevice), "copy to the GPU");
    ran = ran && worked(cudaMemcpy(on_gpu[1], b.data(), bytes, cudaMemcpyHostToDevice), "copy to the GPU");
    if (ran) {
        add<<<(elements + threads_a_block - 1) / threads_a_block, threads_a_block>>>(on_gpu[0], on_gpu[1], on_gpu[2]);
        ran = worked(cudaGetLastError(), "kernel launch") && worked(cudaDeviceSynchronize(), "kernel");
    }
    ran = ran && worked(cudaMemcpy(sum.data(), on_gpu[2], bytes, cudaMemcpyDeviceToHost), "copy from the GPU");
    for (float *vector : on_gpu)
        cudaFree(vector);

    int bad = 0;
    for (int i = 0; i < elements; i++)
        bad += sum[i] != a[i] + b[i];
    cudaDeviceProp properties{};
    const bool named = cudaGetDeviceProperties(&properties, gpu) == cudaSuccess;
    const bool passed = ran && bad == 0;
    std::printf("%s gpu=%d name=%s n=%d bad=%d\n", passed ? "PASS" : "FAIL", gpu, named ? properties.name : "unknown",
                elements, bad);
    return passed;
}

} // namespace

int main()
{
    int count = 0;
    if (!worked(cudaGetDeviceCount(&count), "cudaGetDeviceCount"))
        return 1;
    if (count == 0) {
        std::fprintf(stderr, "ERROR no GPU is visible to CUDA\n");
        return 1;
    }
    bool passed = true;
    for (int gpu = 0; gpu < count; gpu++)
        passed = add_on(gpu) && passed;
    return passed ? 0 : 1;
}
