// steps.cu: small steps whose order matters, for streams, events and graphs.
extern "C" __global__ void add(float* x, float by, int n) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) x[i] += by;
}
extern "C" __global__ void multiply(float* x, float by, int n) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) x[i] *= by;
}
extern "C" __global__ void __launch_bounds__(64) bounded(float* x) { x[threadIdx.x] = 1.f; }
extern "C" __global__ void empty() {}
extern "C" __global__ void much_shared(float* x) {
    __shared__ float s[4096];
    s[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = s[threadIdx.x];
}
