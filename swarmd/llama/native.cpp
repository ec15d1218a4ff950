// Decoding of Llama's shape on a CPU, in float32. `native.py` loads this and defines the pointers.
//
// What it does
//   A decoding step multiplies a few rows with every weight. For a small model, PyTorch spends as much time
//   between the operators as in them. Here a step is one call.
//
//   - Weights are read as the model stores them, [outputs, inputs]. Nothing is copied or packed, so a changed
//     weight costs nothing and a call holds no second model.
//   - A prompt runs once. Its keys and values are stored once for all its completions. A row attends to its
//     prompt's region and to its own, so there is no padding, no mask, and nothing to move when a row ends.
//   - Tokens are chosen as in `rollout/sampling.py`.
//
// How it is built
//   The kernels use the vector types of GCC and Clang. This file includes itself once per instruction set, and
//   `swarmd_open` chooses the best one that this CPU has. It needs no headers of Python or PyTorch, and nothing
//   beyond the C++17 library.
//
// What it does not do
//   It allocates no arrays: the caller provides a cache and a scratch of the sizes that `swarmd_sizes` returns.
//   It does not check token ids or pointers: `native.py` does.

#ifndef SWARMD_KERNELS  // ---------------------------------------------------------------- the common part

#if !defined(__clang__) && !(defined(__GNUC__) && __GNUC__ >= 9)
#error "native decoding needs GCC 9 or newer, or Clang"
#endif

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace {

// ------------------------------------------------------------------------------ what the caller describes

struct Linear {
    const float* weight;  // [outputs, inputs]
    const float* bias;    // [outputs] or null
    const float* down;    // LoRA's A [rank, inputs], or null
    const float* up;      // LoRA's B [outputs, rank], scaled
    int64_t outputs, inputs, rank;
};

struct Layer {
    const float* input_norm;         // [hidden]
    const float* feed_forward_norm;  // [hidden]
    const float* query_norm;         // [head size] or null
    const float* key_norm;           // [head size] or null
    Linear query, key, value, output, gate, up, down;
    float input_epsilon, feed_forward_epsilon, query_epsilon, key_epsilon;
    float scale, unused;  // scale: of the attention's scores
};

struct Model {
    const Layer* layers;
    const float* embedding;  // [vocabulary, hidden]
    const float* norm;       // [hidden]
    Linear head;
    int64_t count, hidden, heads, kv_heads, head_size, between;  // count: layers; between: outputs of gate
    float epsilon, unused;
};

struct Job {
    const int64_t* lengths;  // [prompts], in tokens
    const float* rotations;  // cosines, then signed sines: [2, positions, head size]
    int64_t prompts, copies, new_tokens, positions, threads;
};

constexpr int64_t CHUNK_TOKENS = 128;  // of a prompt, run together: more would make no product faster
constexpr int64_t LOGIT_ROWS = 64;     // whose logits are held at once: more would make no product faster
constexpr int64_t BLOCK = 16;          // columns of keys stored together, see `Region`
constexpr int64_t TASK_OUTPUTS = 32;   // outputs of a linear layer per task
constexpr int64_t CACHED_NUMEL = 262144;  // numbers in a weight that stays in the second-level cache
constexpr int64_t LINE = 16;           // numbers in a cache line
constexpr int64_t TASK_ROWS = 16;      // rows normed per task
constexpr float UNIFORM_MAX = 1 - 1.0f / (1 << 23);  // as in rollout/sampling.py

int64_t in_blocks(int64_t columns) { return (columns + BLOCK - 1) / BLOCK * BLOCK; }
int64_t in_tasks(int64_t outputs) { return (outputs + TASK_OUTPUTS - 1) / TASK_OUTPUTS; }

// Keys and values of consecutive tokens, by layer and head. Keys are stored in blocks of columns, each
// [head size, BLOCK], so that a query meets BLOCK keys with one vector. Values are stored as [columns, head size].
struct Region {
    float* start = nullptr;
    int64_t columns = 0;  // a multiple of BLOCK

    static int64_t numel(const Model& model, int64_t columns) {
        return model.count * model.kv_heads * 2 * in_blocks(columns) * model.head_size;
    }
    float* keys(const Model& model, int64_t layer, int64_t head) const {
        return start + (layer * model.kv_heads + head) * 2 * columns * model.head_size;
    }
    float* values(const Model& model, int64_t layer, int64_t head) const {
        return keys(model, layer, head) + columns * model.head_size;
    }
};

// One token to run: where its keys and values go, and what it attends to: `shared_tokens` of its prompt and
// `own_tokens` of its completion, including itself. A token of a prompt has no own tokens.
struct Token {
    int64_t id, position;
    Region shared, own;
    int64_t shared_tokens, own_tokens;
};

struct Row {
    int64_t prompt, last_token, written;
    Region own;
};

// ----------------------------------------------------------------------------------------------- threads

// Helper threads that take tasks of one job at a time, together with the caller. A helper that the system does not
// wake in time takes no tasks, so a busy machine only slows the job in proportion.
class Pool {
  public:
    explicit Pool(int64_t threads) {
        for (int64_t n = 1; n < threads; ++n) {
            try {
                helpers_.emplace_back([this] { help(); });
            } catch (const std::system_error&) {
                break;  // the system provides no more threads: use those created
            }
        }
    }

    ~Pool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ending_ = true;
        }
        woken_.notify_all();
        for (auto& helper : helpers_) helper.join();
    }

    // Calls task(n) for n < count, on all threads if one task has enough multiplications to be worth it.
    template <class Task>
    void run(int64_t count, int64_t multiplications, const Task& task) {
        if (helpers_.empty() || count < 2 || count * multiplications < SHARED_MIN) {
            for (int64_t n = 0; n < count; ++n) task(n);
            return;
        }
        call_ = [](const void* context, int64_t n) { (*static_cast<const Task*>(context))(n); };
        context_ = &task;
        done_.store(0, std::memory_order_relaxed);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 40) + 1;
            ticket_.store(job << 40 | static_cast<uint64_t>(count) << 20);
        }
        if (sleeping_.load() > 0) woken_.notify_all();
        work();
        // The last tasks are still running on other threads.
        for (int spin = 0; done_.load(std::memory_order_acquire) < count; ++spin)
            if (spin > SPINS) std::this_thread::yield();
    }

  private:
    static constexpr int SPINS = 4000;  // some ten microseconds: the usual pause between jobs of a step
    static constexpr int64_t SHARED_MIN = 100000;  // takes one thread longer than notifying another
    static constexpr uint64_t LOW = (1u << 20) - 1;

    // A ticket is the job's number (24 bits), its count of tasks (20) and the next task (20). The thread that
    // increments it owns the task, and the job cannot end before that task is done.
    bool work() {
        bool worked = false;
        for (;;) {
            uint64_t ticket = ticket_.load(std::memory_order_acquire);
            if ((ticket & LOW) >= (ticket >> 20 & LOW)) return worked;
            if (!ticket_.compare_exchange_weak(ticket, ticket + 1)) continue;
            call_(context_, static_cast<int64_t>(ticket & LOW));
            done_.fetch_add(1, std::memory_order_release);
            worked = true;
        }
    }

    bool waits() const {
        const uint64_t ticket = ticket_.load();
        return (ticket & LOW) >= (ticket >> 20 & LOW);
    }

    void help() {
        for (int spin = 0;;) {
            if (work()) spin = 0;
            if (++spin < SPINS) continue;
            std::unique_lock<std::mutex> lock(mutex_);
            sleeping_.fetch_add(1);
            woken_.wait(lock, [this] { return ending_ || !waits(); });
            sleeping_.fetch_sub(1);
            if (ending_) return;
            spin = 0;
        }
    }

    std::vector<std::thread> helpers_;
    std::mutex mutex_;
    std::condition_variable woken_;
    std::atomic<uint64_t> ticket_{0};
    std::atomic<int64_t> done_{0};
    std::atomic<int> sleeping_{0};
    bool ending_ = false;
    void (*call_)(const void*, int64_t) = nullptr;
    const void* context_ = nullptr;
};

// ------------------------------------------------------------------------------------------------ batches

// The parts of the scratch memory. N tokens run together.
struct Scratch {
    float *x, *normed, *projected, *attended, *gate, *up, *low, *logits, *states;
    std::vector<float*> scores;  // one per running token, because any thread may run it
    int64_t numel;

    Scratch(const Model& model, const Job& job, float* start) {
        int64_t longest = 0, rank = model.head.rank;
        for (int64_t n = 0; n < job.prompts; ++n) longest = job.lengths[n] > longest ? job.lengths[n] : longest;
        for (int64_t n = 0; n < model.count; ++n) {
            const Layer& layer = model.layers[n];
            for (const Linear* linear : {&layer.query, &layer.key, &layer.value, &layer.output, &layer.gate,
                                         &layer.up, &layer.down})
                rank = linear->rank > rank ? linear->rank : rank;
        }
        const int64_t rows = job.prompts * job.copies;
        const int64_t chunk = longest < CHUNK_TOKENS ? longest : CHUNK_TOKENS;
        const int64_t tokens = rows > chunk ? rows : chunk;
        const int64_t together = rows < LOGIT_ROWS ? rows : LOGIT_ROWS;
        const int64_t width = model.heads * model.head_size;
        const int64_t columns = in_blocks(longest) + in_blocks(job.new_tokens);
        numel = 0;
        auto take = [&](int64_t size) {
            float* part = start == nullptr ? nullptr : start + numel;
            numel += in_blocks(size);
            return part;
        };
        x = take(tokens * model.hidden);
        normed = take(tokens * model.hidden);
        projected = take(tokens * (width + 2 * model.kv_heads * model.head_size));
        attended = take(tokens * width);
        gate = take(tokens * model.between);
        up = take(tokens * model.between);
        low = take(3 * tokens * rank);
        logits = take(together * in_blocks(model.head.outputs));
        states = take(job.prompts * model.hidden);
        for (int64_t n = 0; n < tokens; ++n) scores.push_back(take(columns));
    }
};

struct Batch;
using Forward = void (*)(Batch&, const Token*, int64_t);
using Choose = void (*)(Batch&, const float*, int64_t, const float*, const int64_t*, float, int64_t*, float*);

struct Batch {
    Model model;
    Job job;
    std::vector<Layer> layers;
    std::vector<int64_t> lengths;
    std::vector<Region> prompts;
    std::vector<Row> rows;
    std::vector<Token> tokens;
    Scratch scratch;
    Pool pool;
    Forward forward = nullptr;
    Choose choose = nullptr;

    Batch(const Model& given, const Job& wanted, float* cache, float* start)
        : model(given),
          job(wanted),
          layers(given.layers, given.layers + given.count),
          lengths(wanted.lengths, wanted.lengths + wanted.prompts),
          scratch(given, wanted, start),
          pool(wanted.threads) {
        model.layers = layers.data();
        job.lengths = lengths.data();
        auto take = [&](int64_t columns) {
            Region region{cache, in_blocks(columns)};
            cache += Region::numel(model, columns);
            return region;
        };
        for (int64_t prompt = 0; prompt < job.prompts; ++prompt) prompts.push_back(take(lengths[prompt]));
        for (int64_t row = 0; row < job.prompts * job.copies; ++row)
            rows.push_back({row / job.copies, 0, 0, take(job.new_tokens)});
        tokens.resize(rows.size() > CHUNK_TOKENS ? rows.size() : CHUNK_TOKENS);
    }
};

}  // namespace

// The kernels, for each instruction set. `LANES` numbers are one vector. `PANEL_OUTPUTS`: all rows meet the weights of
// so many outputs before the next; with AVX2, 4 made products of 16 rows 1.1 to 1.2 times as fast, with AVX-512 slower.
#define SWARMD_KERNELS

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx2,fma")
#endif
#define LANES 16
#define TILE_ROWS 6
#define PANEL_OUTPUTS TASK_OUTPUTS
namespace avx512 {
#include "native.cpp"
}
#undef LANES
#undef TILE_ROWS
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define LANES 8
#define TILE_ROWS 3
#undef PANEL_OUTPUTS
#define PANEL_OUTPUTS 4
namespace avx2 {
#include "native.cpp"
}
#undef LANES
#undef TILE_ROWS
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#define TILE_ROWS 2
#else
#define TILE_ROWS 5  // of AArch64's 32 registers, 6 rows would leave one, and GCC then spills some
#endif
#undef PANEL_OUTPUTS
#define PANEL_OUTPUTS TASK_OUTPUTS
#define LANES 4
namespace baseline {
#include "native.cpp"
}

// ---------------------------------------------------------------------------------------- what is exported

namespace {

struct Kernels {
    const char* name;
    Forward forward;
    Choose choose;
};

// The kernels for this CPU, skipping the `narrow` widest ones (tests run all of them).
Kernels kernels([[maybe_unused]] int64_t narrow) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && narrow-- <= 0)
        return {"AVX-512", avx512::forward, avx512::choose};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && narrow-- <= 0)
        return {"AVX2", avx2::forward, avx2::choose};
#endif
    return {"128-bit vectors", baseline::forward, baseline::choose};
}

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

// Must change with every change of the exports. The sizes detect a compiler that lays out structs differently.
EXPORTED int64_t swarmd_version() { return 1000000 + 10000 * sizeof(Linear) + sizeof(Model) + sizeof(Layer) + sizeof(Job); }

EXPORTED const char* swarmd_kernels(int64_t narrow) { return kernels(narrow).name; }

// The number of floats in a job's cache and scratch: sizes[0] and sizes[1].
EXPORTED int swarmd_sizes(const Model* model, const Job* job, int64_t* sizes) try {
    sizes[0] = job->prompts * job->copies * Region::numel(*model, job->new_tokens);
    for (int64_t n = 0; n < job->prompts; ++n) sizes[0] += Region::numel(*model, job->lengths[n]);
    sizes[1] = Scratch(*model, *job, nullptr).numel;
    return 0;
} catch (const std::bad_alloc&) {
    return 1;
}

// Starts a job; null if memory runs out. Weights, rotations, cache and scratch are used until `swarmd_close`.
EXPORTED void* swarmd_open(const Model* model, const Job* job, float* cache, float* scratch, int64_t narrow) try {
    Batch* batch = new Batch(*model, *job, cache, scratch);
    batch->forward = kernels(narrow).forward;
    batch->choose = kernels(narrow).choose;
    return batch;
} catch (const std::bad_alloc&) {
    return nullptr;
}

// Runs a prompt's token ids.
EXPORTED void swarmd_prompt(void* opened, int64_t prompt, const int64_t* ids) {
    Batch& batch = *static_cast<Batch*>(opened);
    const int64_t length = batch.lengths[prompt], hidden = batch.model.hidden;
    const Region region = batch.prompts[prompt];
    for (int64_t first = 0; first < length; first += CHUNK_TOKENS) {
        const int64_t count = length - first < CHUNK_TOKENS ? length - first : CHUNK_TOKENS;
        for (int64_t n = 0; n < count; ++n)
            batch.tokens[n] = {ids[first + n], first + n, region, {}, first + n + 1, 0};
        batch.forward(batch, batch.tokens.data(), count);
        std::memcpy(batch.scratch.states + prompt * hidden, batch.scratch.x + (count - 1) * hidden,
                    hidden * sizeof(float));
    }
}

// Writes the next token of `count` rows, all of which have written equally many tokens. draws [count] are their
// uniforms, or null; given [count] are the tokens they must write, or null; without either they write the most
// likely token. Returns tokens and their logprobs [count].
EXPORTED void swarmd_next(void* opened, int64_t count, const int64_t* rows, const float* draws,
                          const int64_t* given, float temperature, int64_t* tokens, float* logprobs) {
    Batch& batch = *static_cast<Batch*>(opened);
    const int64_t hidden = batch.model.hidden;
    if (batch.rows[rows[0]].written == 0) {
        for (int64_t n = 0; n < count; ++n)
            std::memcpy(batch.scratch.x + n * hidden,
                        batch.scratch.states + batch.rows[rows[n]].prompt * hidden, hidden * sizeof(float));
    } else {
        for (int64_t n = 0; n < count; ++n) {
            const Row& row = batch.rows[rows[n]];
            const int64_t length = batch.lengths[row.prompt];
            batch.tokens[n] = {row.last_token,        length + row.written - 1, batch.prompts[row.prompt], row.own,
                               length, row.written};
        }
        batch.forward(batch, batch.tokens.data(), count);
    }
    for (int64_t first = 0; first < count; first += LOGIT_ROWS) {
        const int64_t some = count - first < LOGIT_ROWS ? count - first : LOGIT_ROWS;
        batch.choose(batch, batch.scratch.x + first * hidden, some, draws == nullptr ? nullptr : draws + first,
                     given == nullptr ? nullptr : given + first, temperature, tokens + first, logprobs + first);
    }
    for (int64_t n = 0; n < count; ++n) {
        batch.rows[rows[n]].last_token = tokens[n];
        batch.rows[rows[n]].written += 1;
    }
}

EXPORTED void swarmd_close(void* opened) { delete static_cast<Batch*>(opened); }

#else  // ------------------------------------------------------- the kernels, for vectors of LANES numbers

namespace {

typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef int32_t Integers __attribute__((vector_size(LANES * 4)));
typedef float Four __attribute__((vector_size(16)));
constexpr int64_t TILE_OUTPUTS = 4;

inline Vector load(const float* from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

inline void store(float* to, Vector v) { std::memcpy(to, &v, sizeof v); }

inline Vector all(float value) { return value - Vector{}; }

inline float sum(Vector v) {
    float total = 0;
    for (int n = 0; n < LANES; ++n) total += v[n];
    return total;
}

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLED __builtin_shufflevector
#else  // an older GCC has only a form of its own
#define SHUFFLED(x, y, ...) __builtin_shuffle(x, y, (Integers{__VA_ARGS__}))
#endif

// The sums of four vectors. Each 128-bit part is transposed and added, then the parts are added.
inline Four sums(Vector a, Vector b, Vector c, Vector d) {
#if LANES == 16
#define PAIRS(x, i, y, j) SHUFFLED(x, y, i, 16 + i, j, 16 + j, 4 + i, 20 + i, 4 + j, 20 + j, 8 + i, 24 + i, 8 + j, 24 + j, 12 + i, 28 + i, 12 + j, 28 + j)
#define HALVES(x, y, i) SHUFFLED(x, y, i, 1 + i, 16 + i, 17 + i, 4 + i, 5 + i, 20 + i, 21 + i, 8 + i, 9 + i, 24 + i, 25 + i, 12 + i, 13 + i, 28 + i, 29 + i)
#elif LANES == 8
#define PAIRS(x, i, y, j) SHUFFLED(x, y, i, 8 + i, j, 8 + j, 4 + i, 12 + i, 4 + j, 12 + j)
#define HALVES(x, y, i) SHUFFLED(x, y, i, 1 + i, 8 + i, 9 + i, 4 + i, 5 + i, 12 + i, 13 + i)
#else
#define PAIRS(x, i, y, j) SHUFFLED(x, y, i, 4 + i, j, 4 + j)
#define HALVES(x, y, i) SHUFFLED(x, y, i, 1 + i, 4 + i, 5 + i)
#endif
    const Vector ab = PAIRS(a, 0, b, 1) + PAIRS(a, 2, b, 3);  // a0+a2 b0+b2 a1+a3 b1+b3
    const Vector cd = PAIRS(c, 0, d, 1) + PAIRS(c, 2, d, 3);
    const Vector parts = HALVES(ab, cd, 0) + HALVES(ab, cd, 2);
    Four total;
    std::memcpy(&total, &parts, sizeof total);
    for (int n = 4; n < LANES; n += 4) {
        Four part;
        std::memcpy(&part, reinterpret_cast<const char*>(&parts) + 4 * n, sizeof part);
        total += part;
    }
    return total;
#undef PAIRS
#undef HALVES
#undef SHUFFLED
}

inline Vector power_of_two(Integers n) {  // n from -126 to 127
    const Integers bits = (n + 127) << 23;
    Vector power;
    std::memcpy(&power, &bits, sizeof power);
    return power;
}

// e^x to 2 units in the last place, as in Cephes: 2^n times a polynomial. Covers results down to the smallest
// float and up to e^88. 2^n is applied in two factors, because the smallest results are subnormal.
inline Vector exponential(Vector x) {
    const Vector low = all(-104.0f), high = all(88.0f);
    x = x < low ? low : x;
    x = x > high ? high : x;
    const Vector shift = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Vector whole = (x * 1.44269504f + shift) - shift;
    const Vector rest = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    Vector p = all(1.9875691500e-4f);
    p = p * rest + 1.3981999507e-3f;
    p = p * rest + 8.3334519073e-3f;
    p = p * rest + 4.1665795894e-2f;
    p = p * rest + 1.6666665459e-1f;
    p = p * rest + 5.0000001201e-1f;
    p = p * rest * rest + rest + 1.0f;
    const Integers n = __builtin_convertvector(whole, Integers);
    return p * power_of_two(n >> 1) * power_of_two(n - (n >> 1));
}

// ------------------------------------------------------------------------------------------------ products

// y [rows, 4] = x w^T, for ROWS rows of x and four rows of w, both contiguous.
template <int ROWS>
inline void tile(const float* x, int64_t x_stride, const float* w, int64_t inputs, Four* y) {
    Vector totals[ROWS][TILE_OUTPUTS] = {};
    const int64_t whole = inputs / LANES * LANES;
    for (int64_t k = 0; k < whole; k += LANES) {
        Vector xs[ROWS];
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) xs[r] = load(x + r * x_stride + k);
#pragma GCC unroll 4
        for (int o = 0; o < TILE_OUTPUTS; ++o) {
            const Vector ws = load(w + o * inputs + k);
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; ++r) totals[r][o] += xs[r] * ws;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
        y[r] = sums(totals[r][0], totals[r][1], totals[r][2], totals[r][3]);
        for (int64_t k = whole; k < inputs; ++k)
            for (int o = 0; o < TILE_OUTPUTS; ++o) y[r][o] += x[r * x_stride + k] * w[o * inputs + k];
    }
}

inline float dot(const float* x, const float* w, int64_t inputs) {
    const int64_t whole = inputs / LANES * LANES;
    Vector total{};
    for (int64_t k = 0; k < whole; k += LANES) total += load(x + k) * load(w + k);
    float y = sum(total);
    for (int64_t k = whole; k < inputs; ++k) y += x[k] * w[k];
    return y;
}

struct Output {
    float* y;  // [rows, stride]
    int64_t stride;
    bool add;  // add to the existing values
};

// One task's outputs of x [rows, inputs] times weight [size, inputs], plus bias.
void multiply(const float* x, int64_t rows, const float* weight, const float* bias, int64_t inputs,
              int64_t task, int64_t size, Output out) {
    const int64_t first = task * TASK_OUTPUTS;
    const int64_t stop = first + TASK_OUTPUTS < size ? first + TASK_OUTPUTS : size;
    const int64_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const int64_t tiled = first + (stop - first) / TILE_OUTPUTS * TILE_OUTPUTS;
    const bool ahead = size * inputs >= CACHED_NUMEL;
    for (int64_t panel = first; panel < tiled; panel += PANEL_OUTPUTS)
        for (int64_t t = 0, row = 0; t < tiles; ++t) {
            const int64_t count = (rows - row + tiles - t - 1) / (tiles - t);  // tiles of nearly equal size
            const float* xs = x + row * inputs;
            for (int64_t o = panel; o < tiled && o < panel + PANEL_OUTPUTS; o += TILE_OUTPUTS) {
                const float* ws = weight + o * inputs;
                if (ahead)  // each tile of rows prefetches part of the next task's weights
                    for (int64_t n = t * LINE; n < TILE_OUTPUTS * inputs; n += tiles * LINE)
                        __builtin_prefetch(ws + TASK_OUTPUTS * inputs + n, 0, 2);
                Four y[TILE_ROWS];
                switch (count) {
                    case 1: tile<1>(xs, inputs, ws, inputs, y); break;
#if TILE_ROWS > 3
                    case 2: tile<2>(xs, inputs, ws, inputs, y); break;
                    case 3: tile<3>(xs, inputs, ws, inputs, y); break;
                    case 4: tile<4>(xs, inputs, ws, inputs, y); break;
                    case 5: tile<5>(xs, inputs, ws, inputs, y); break;
#elif TILE_ROWS > 2
                    case 2: tile<2>(xs, inputs, ws, inputs, y); break;
#endif
                    default: tile<TILE_ROWS>(xs, inputs, ws, inputs, y);
                }
                Four more{};
                if (bias != nullptr) std::memcpy(&more, bias + o, sizeof more);
                for (int64_t r = 0; r < count; ++r) {
                    float* to = out.y + (row + r) * out.stride + o;
                    Four before{};
                    if (out.add) std::memcpy(&before, to, sizeof before);
                    const Four now = before + y[r] + more;
                    std::memcpy(to, &now, sizeof now);
                }
            }
            row += count;
        }
    for (int64_t o = tiled; o < stop; ++o)
        for (int64_t r = 0; r < rows; ++r) {
            float& y = out.y[r * out.stride + o];
            y = (out.add ? y : 0) + dot(x + r * inputs, weight + o * inputs, inputs) +
                (bias == nullptr ? 0 : bias[o]);
        }
}

// The first half of a linear layer's adapters: low [rows, rank] = x down^T.
void lower(Batch& batch, const Linear& linear, const float* x, int64_t rows, float* low) {
    batch.pool.run(in_tasks(linear.rank), rows * linear.inputs * TASK_OUTPUTS, [&](int64_t task) {
        multiply(x, rows, linear.down, nullptr, linear.inputs, task, linear.rank, {low, linear.rank, false});
    });
}

// One task's share of a linear layer's outputs.
void outputs(const Linear& linear, const float* x, const float* low, int64_t rows, int64_t task, Output out) {
    multiply(x, rows, linear.weight, linear.bias, linear.inputs, task, linear.outputs, out);
    out.add = true;
    if (linear.rank > 0) multiply(low, rows, linear.up, nullptr, linear.rank, task, linear.outputs, out);
}

// A whole linear layer.
void apply(Batch& batch, const Linear& linear, const float* x, int64_t rows, Output out) {
    lower(batch, linear, x, rows, batch.scratch.low);
    batch.pool.run(in_tasks(linear.outputs), rows * linear.inputs * TASK_OUTPUTS,
                   [&](int64_t task) { outputs(linear, x, batch.scratch.low, rows, task, out); });
}

// -------------------------------------------------------------------------------------- around the products

// x / sqrt(mean(x^2) + epsilon) * weight. y may alias x.
void norm(const float* x, int64_t size, const float* weight, float epsilon, float* y) {
    const float scale = 1 / std::sqrt(dot(x, x, size) / static_cast<float>(size) + epsilon);
    for (int64_t n = 0; n < size; ++n) y[n] = x[n] * scale * weight[n];
}

void norms(Batch& batch, const float* x, int64_t rows, const float* weight, float epsilon, float* y) {
    const int64_t size = batch.model.hidden, tasks = (rows + TASK_ROWS - 1) / TASK_ROWS;
    batch.pool.run(tasks, 4 * TASK_ROWS * size, [&](int64_t task) {
        for (int64_t row = task * TASK_ROWS; row < rows && row < (task + 1) * TASK_ROWS; ++row)
            norm(x + row * size, size, weight, epsilon, y + row * size);
    });
}

// gate = silu(gate) * up
void activate(float* gate, const float* up, int64_t count) {
    int64_t n = 0;
    for (; n + LANES <= count; n += LANES) {
        const Vector g = load(gate + n);
        store(gate + n, g / (1.0f + exponential(-g)) * load(up + n));
    }
    for (; n < count; ++n) gate[n] = gate[n] / (1.0f + std::exp(-gate[n])) * up[n];
}

// Head norm, then rotation: the first half of a head is paired with the second.
void prepare_head(float* head, int64_t size, const float* weight, float epsilon, const float* cosines,
                  const float* signed_sines) {
    if (weight != nullptr) norm(head, size, weight, epsilon, head);
    const int64_t half = size / 2;
    for (int64_t d = 0; d < half; ++d) {
        const float a = head[d], b = head[d + half];
        head[d] = a * cosines[d] + b * signed_sines[d];
        head[d + half] = b * cosines[d + half] + a * signed_sines[d + half];
    }
}

// Normalises and rotates a token's projected heads, and stores its keys and values for later tokens.
void prepare(Batch& batch, const Layer& layer, int64_t index, const Token& token, float* projected) {
    const Model& model = batch.model;
    const int64_t size = model.head_size;
    const float* cosines = batch.job.rotations + token.position * size;
    const float* sines = cosines + batch.job.positions * size;
    for (int64_t head = 0; head < model.heads; ++head)
        prepare_head(projected + head * size, size, layer.query_norm, layer.query_epsilon, cosines, sines);
    const Region& region = token.own_tokens > 0 ? token.own : token.shared;
    const int64_t column = (token.own_tokens > 0 ? token.own_tokens : token.shared_tokens) - 1;
    for (int64_t head = 0; head < model.kv_heads; ++head) {
        float* key = projected + (model.heads + head) * size;
        const float* value = key + model.kv_heads * size;
        prepare_head(key, size, layer.key_norm, layer.key_epsilon, cosines, sines);
        float* keys = region.keys(model, index, head) + column / BLOCK * BLOCK * size + column % BLOCK;
        for (int64_t d = 0; d < size; ++d) keys[d * BLOCK] = key[d];
        std::memcpy(region.values(model, index, head) + column * size, value, size * sizeof(float));
    }
}

// The scores of one query with `count` keys, padded with minus infinity to a whole block.
void score(const float* query, const float* keys, int64_t count, int64_t size, float scale, float* scores) {
    constexpr int PARTS = BLOCK / LANES, CHAINS = LANES >= 8 ? 4 : 2;
    for (int64_t block = 0; block < count; block += BLOCK, keys += BLOCK * size) {
        Vector totals[CHAINS][PARTS] = {};
        int64_t d = 0;
        for (; d + CHAINS <= size; d += CHAINS)
#pragma GCC unroll 4
            for (int chain = 0; chain < CHAINS; ++chain)
#pragma GCC unroll 4
                for (int part = 0; part < PARTS; ++part)
                    totals[chain][part] += query[d + chain] * load(keys + (d + chain) * BLOCK + part * LANES);
        for (; d < size; ++d)
            for (int part = 0; part < PARTS; ++part)
                totals[0][part] += query[d] * load(keys + d * BLOCK + part * LANES);
        for (int part = 0; part < PARTS; ++part) {
            Vector total{};
            for (int chain = 0; chain < CHAINS; ++chain) total += totals[chain][part];
            store(scores + block + part * LANES, total * scale);
        }
    }
    for (int64_t n = count; n < in_blocks(count); ++n) scores[n] = -INFINITY;
}

// Adds the weighted values [count, size] for `WIDTH` vectors of the head's numbers.
template <int WIDTH>
inline void add_values(const float* weights, const float* values, int64_t count, int64_t size, float* y) {
    Vector totals[2][WIDTH] = {};
    int64_t n = 0;
    for (; n + 2 <= count; n += 2)
#pragma GCC unroll 2
        for (int chain = 0; chain < 2; ++chain)
#pragma GCC unroll 4
            for (int w = 0; w < WIDTH; ++w)
                totals[chain][w] += weights[n + chain] * load(values + (n + chain) * size + w * LANES);
    if (n < count)
        for (int w = 0; w < WIDTH; ++w) totals[0][w] += weights[n] * load(values + n * size + w * LANES);
    for (int w = 0; w < WIDTH; ++w) store(y + w * LANES, load(y + w * LANES) + totals[0][w] + totals[1][w]);
}

void add_all_values(const float* weights, const float* values, int64_t count, int64_t size, float* y) {
    int64_t d = 0;
    for (; d + 4 * LANES <= size; d += 4 * LANES) add_values<4>(weights, values + d, count, size, y + d);
    for (; d + LANES <= size; d += LANES) add_values<1>(weights, values + d, count, size, y + d);
    for (; d < size; ++d)
        for (int64_t n = 0; n < count; ++n) y[d] += weights[n] * values[n * size + d];
}

float greatest(const float* x, int64_t size) {  // size: a multiple of BLOCK
    Vector found = load(x);
    for (int64_t n = LANES; n < size; n += LANES) found = load(x + n) > found ? load(x + n) : found;
    float most = found[0];
    for (int n = 1; n < LANES; ++n) most = found[n] > most ? found[n] : most;
    return most;
}

// All heads of one token: softmax of the scores with its prompt's keys and its own, times the values.
void attend(Batch& batch, const Layer& layer, int64_t index, const Token& token, const float* queries,
            float* scores, float* attended) {
    const Model& model = batch.model;
    const int64_t size = model.head_size, group = model.heads / model.kv_heads;
    float* own_scores = scores + in_blocks(token.shared_tokens);
    const int64_t columns = in_blocks(token.shared_tokens) + in_blocks(token.own_tokens);
    for (int64_t head = 0; head < model.heads; ++head) {
        const float* query = queries + head * size;
        float* y = attended + head * size;
        const int64_t shared = head / group;
        score(query, token.shared.keys(model, index, shared), token.shared_tokens, size, layer.scale, scores);
        if (token.own_tokens > 0)
            score(query, token.own.keys(model, index, shared), token.own_tokens, size, layer.scale, own_scores);
        const Vector most = all(greatest(scores, columns));
        Vector totals{};
        for (int64_t n = 0; n < columns; n += LANES) {
            const Vector weight = exponential(load(scores + n) - most);
            store(scores + n, weight);
            totals += weight;
        }
        std::memset(y, 0, size * sizeof(float));
        add_all_values(scores, token.shared.values(model, index, shared), token.shared_tokens, size, y);
        if (token.own_tokens > 0)
            add_all_values(own_scores, token.own.values(model, index, shared), token.own_tokens, size, y);
        const float scale = 1 / sum(totals);
        for (int64_t d = 0; d < size; ++d) y[d] *= scale;
    }
}

// ----------------------------------------------------------------------------------------------- the model

// Computes the hidden states of tokens, before the last norm, in scratch.x.
void forward(Batch& batch, const Token* tokens, int64_t count) {
    const Model& model = batch.model;
    Scratch& s = batch.scratch;
    const int64_t hidden = model.hidden, between = model.between;
    const int64_t width = model.heads * model.head_size, kv_width = model.kv_heads * model.head_size;
    const int64_t stride = width + 2 * kv_width;
    for (int64_t n = 0; n < count; ++n)
        std::memcpy(s.x + n * hidden, model.embedding + tokens[n].id * hidden, hidden * sizeof(float));
    for (int64_t index = 0; index < model.count; ++index) {
        const Layer& layer = model.layers[index];
        norms(batch, s.x, count, layer.input_norm, layer.input_epsilon, s.normed);
        float* low[] = {s.low, s.low + count * layer.query.rank,
                        s.low + count * (layer.query.rank + layer.key.rank)};
        lower(batch, layer.query, s.normed, count, low[0]);
        lower(batch, layer.key, s.normed, count, low[1]);
        lower(batch, layer.value, s.normed, count, low[2]);
        const int64_t query_tasks = in_tasks(width), key_tasks = in_tasks(kv_width);
        batch.pool.run(query_tasks + 2 * key_tasks, count * hidden * TASK_OUTPUTS, [&](int64_t task) {
            if (task < query_tasks)
                outputs(layer.query, s.normed, low[0], count, task, {s.projected, stride, false});
            else if (task < query_tasks + key_tasks)
                outputs(layer.key, s.normed, low[1], count, task - query_tasks,
                        {s.projected + width, stride, false});
            else
                outputs(layer.value, s.normed, low[2], count, task - query_tasks - key_tasks,
                        {s.projected + width + kv_width, stride, false});
        });
        // Two passes, because a prompt's token attends to keys of tokens in the same batch.
        batch.pool.run(count, 4 * stride,
                       [&](int64_t n) { prepare(batch, layer, index, tokens[n], s.projected + n * stride); });
        batch.pool.run(count, 2 * width * tokens[0].shared_tokens, [&](int64_t n) {
            attend(batch, layer, index, tokens[n], s.projected + n * stride, s.scores[n], s.attended + n * width);
        });
        apply(batch, layer.output, s.attended, count, {s.x, hidden, true});

        norms(batch, s.x, count, layer.feed_forward_norm, layer.feed_forward_epsilon, s.normed);
        low[1] = s.low + count * layer.gate.rank;
        lower(batch, layer.gate, s.normed, count, low[0]);
        lower(batch, layer.up, s.normed, count, low[1]);
        batch.pool.run(in_tasks(between), 2 * count * hidden * TASK_OUTPUTS, [&](int64_t task) {
            outputs(layer.gate, s.normed, low[0], count, task, {s.gate, between, false});
            outputs(layer.up, s.normed, low[1], count, task, {s.up, between, false});
            const int64_t first = task * TASK_OUTPUTS;
            const int64_t some = between - first < TASK_OUTPUTS ? between - first : TASK_OUTPUTS;
            for (int64_t n = 0; n < count; ++n)
                activate(s.gate + n * between + first, s.up + n * between + first, some);
        });
        apply(batch, layer.down, s.gate, count, {s.x, hidden, true});
    }
}

// -------------------------------------------------------------------------------------------------- tokens

typedef double Doubles __attribute__((vector_size(LANES * 8)));

double sum_of(const float* x, int64_t size) {  // size: a multiple of LANES
    Doubles totals{};
    for (int64_t n = 0; n < size; n += LANES) totals += __builtin_convertvector(load(x + n), Doubles);
    double total = 0;
    for (int n = 0; n < LANES; ++n) total += totals[n];
    return total;
}

// Samples from `weights` [size, a multiple of BLOCK], whose sum is `total`: returns the first index at which the
// cumulative probability exceeds draw times their sum. Probabilities are rounded to float32, accumulated in float64
// and rounded again, as in PyTorch. Leaves probabilities in `weights`.
int64_t drawn(float* weights, int64_t size, float total, float draw) {
    for (int64_t n = 0; n < size; n += LANES) store(weights + n, load(weights + n) / total);
    draw = (draw < UNIFORM_MAX ? draw : UNIFORM_MAX) * static_cast<float>(sum_of(weights, size));
    double cumulated = 0;
    for (int64_t n = 0; n < size; n += BLOCK) {
        const double next = cumulated + sum_of(weights + n, BLOCK);
        if (static_cast<float>(next) > draw)
            for (int64_t m = n; m < n + BLOCK; ++m) {
                cumulated += weights[m];
                if (static_cast<float>(cumulated) > draw) return m;
            }
        cumulated = next;
    }
    return size - 1;
}

// One row's token and its logprob. Overwrites logits [in_blocks(size)].
void choose_one(float* logits, int64_t size, const float* draw, const int64_t* given, float temperature,
                int64_t* token, float* logprob) {
    const int64_t padded = in_blocks(size);
    for (int64_t n = size; n < padded; ++n) logits[n] = -INFINITY;
    if (draw != nullptr && temperature != 1)
        for (int64_t n = 0; n < size; ++n) logits[n] /= temperature;
    const float most = greatest(logits, padded);
    if (given != nullptr) {
        *token = *given;
    } else if (draw == nullptr) {
        *token = 0;
        while (*token < size - 1 && logits[*token] != most) ++*token;
    }
    const float chosen = draw == nullptr ? logits[*token] - most : 0;
    Doubles totals{};
    for (int64_t n = 0; n < padded; n += LANES) {
        const Vector weight = exponential(load(logits + n) - most);
        store(logits + n, weight);
        totals += __builtin_convertvector(weight, Doubles);
    }
    double total = 0;
    for (int n = 0; n < LANES; ++n) total += totals[n];
    if (draw == nullptr) {
        *logprob = chosen - static_cast<float>(std::log(total));
    } else {
        const int64_t place = drawn(logits, padded, static_cast<float>(total), *draw);
        *token = place < size ? place : size - 1;
        *logprob = std::log(logits[*token]);
    }
}

// The next tokens of rows with these hidden states [count, hidden]; count is at most LOGIT_ROWS.
void choose(Batch& batch, const float* states, int64_t count, const float* draws, const int64_t* given,
            float temperature, int64_t* tokens, float* logprobs) {
    const Model& model = batch.model;
    Scratch& s = batch.scratch;
    const int64_t size = model.head.outputs, stride = in_blocks(size);
    norms(batch, states, count, model.norm, model.epsilon, s.normed);
    apply(batch, model.head, s.normed, count, {s.logits, stride, false});
    batch.pool.run(count, 8 * size, [&](int64_t n) {
        choose_one(s.logits + n * stride, size, draws == nullptr ? nullptr : draws + n,
                   given == nullptr ? nullptr : given + n, temperature, tokens + n, logprobs + n);
    });
}

}  // namespace

#endif
