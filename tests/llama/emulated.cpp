// native.cpp as a program, for a machine that is not this one. `emulated.py` writes its calls to standard input and
// reads the answers from standard output, both as the bytes of the structures and arrays.

#include "../../swarmd/llama/native.cpp"

#include <cstdio>
#include <cstdlib>

namespace {

struct Call {
    int64_t name, number;  // name: a letter; number: what `main` says
    const void *draws, *given;  // null if none follow
    float temperature, unused;
};

std::vector<std::vector<char>> held;  // arrays of the open job

void receive(void* to, size_t size) {
    if (std::fread(to, 1, size, stdin) != size) std::exit(0);
}

template <class Item>
const Item* array(int64_t count) {
    held.emplace_back(count * sizeof(Item));
    receive(held.back().data(), held.back().size());
    return reinterpret_cast<const Item*>(held.back().data());
}

void fill(const float*& numbers, int64_t count) {
    if (numbers != nullptr) numbers = array<float>(count);
}

void fill(Linear& linear) {
    fill(linear.weight, linear.outputs * linear.inputs);
    fill(linear.bias, linear.outputs);
    fill(linear.down, linear.rank * linear.inputs);
    fill(linear.up, linear.outputs * linear.rank);
}

struct Running {
    Model model;
    Job job;
    std::vector<Layer> layers;
    std::vector<float> cache, scratch;
    void* batch;

    explicit Running(int64_t narrow) {
        receive(&model, sizeof model);
        receive(&job, sizeof job);
        fill(model.embedding, model.head.outputs * model.hidden);
        fill(model.norm, model.hidden);
        fill(model.head);
        job.lengths = array<int64_t>(job.prompts);
        fill(job.rotations, 2 * job.positions * model.head_size);
        layers.resize(model.count);
        for (Layer& layer : layers) {
            receive(&layer, sizeof layer);
            fill(layer.input_norm, model.hidden);
            fill(layer.feed_forward_norm, model.hidden);
            fill(layer.query_norm, model.head_size);
            fill(layer.key_norm, model.head_size);
            for (Linear* linear : {&layer.query, &layer.key, &layer.value, &layer.output, &layer.gate, &layer.up,
                                   &layer.down})
                fill(*linear);
        }
        model.layers = layers.data();
        int64_t sizes[2];
        if (swarmd_sizes(&model, &job, sizes) != 0) std::exit(1);
        cache.resize(sizes[0]);
        scratch.resize(sizes[1]);
        batch = swarmd_open(&model, &job, cache.data(), scratch.data(), narrow);
    }
};

}  // namespace

int main() {
    std::printf("%s\n", swarmd_kernels(0));
    std::fflush(stdout);
    Running* running = nullptr;
    for (;;) {
        Call call;
        receive(&call, sizeof call);
        if (call.name == 'o') {  // number: instruction sets to skip
            running = new Running(call.number);
        } else if (call.name == 'p') {  // number: of the prompt
            swarmd_prompt(running->batch, call.number, array<int64_t>(running->job.lengths[call.number]));
        } else if (call.name == 'n') {  // number: of rows
            const int64_t* rows = array<int64_t>(call.number);
            const float* draws = call.draws == nullptr ? nullptr : array<float>(call.number);
            const int64_t* given = call.given == nullptr ? nullptr : array<int64_t>(call.number);
            std::vector<int64_t> tokens(call.number);
            std::vector<float> logprobs(call.number);
            swarmd_next(running->batch, call.number, rows, draws, given, call.temperature, tokens.data(),
                        logprobs.data());
            std::fwrite(tokens.data(), sizeof tokens[0], tokens.size(), stdout);
            std::fwrite(logprobs.data(), sizeof logprobs[0], logprobs.size(), stdout);
            std::fflush(stdout);
        } else {
            swarmd_close(running->batch);
            delete running;
            held.clear();
        }
    }
}
