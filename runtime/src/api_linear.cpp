// The C ABI over `Linears`.
#include "api_guard.h"
#include "linear.h"

using namespace gsic;

struct gsic_linears {
  gsic_linears(std::shared_ptr<const Model> model, const char *mode)
      : linears(std::move(model), mode != nullptr ? mode : "") {
    for (uint32_t call = 0; call < linears.calls().size(); call++)
      for (uint32_t i = 0; i < linears.calls()[call].linears.size(); i++) places.push_back({call, i});
  }

  struct Place {
    uint32_t call, linear;
  };

  Linears linears;
  std::vector<Place> places;
};

gsic_status gsic_linears_open(gsic_model *model, const char *mode, gsic_linears **linears) {
  return guard([&] {
    require(model != nullptr && linears != nullptr, "gsic_linears_open: model and linears must not be null");
    *linears = nullptr;
    *linears = new gsic_linears(model->model, mode);
    return GSIC_OK;
  });
}

void gsic_linears_close(gsic_linears *linears) { delete linears; }

size_t gsic_linears_count(const gsic_linears *linears) { return linears != nullptr ? linears->places.size() : 0; }

gsic_status gsic_linears_describe(const gsic_linears *linears, size_t index, gsic_linear_info *info) {
  return guard([&] {
    require(linears != nullptr && info != nullptr, "gsic_linears_describe: linears and info must not be null");
    require(index < linears->places.size(), "gsic_linears_describe: there is no linear of that index");
    const auto [number, place] = linears->places[index];
    const LinearCall &call = linears->linears.calls()[number];
    const CallableLinear &linear = call.linears[place];
    *info = {};
    info->name = linear.name.c_str();
    info->tensor = linear.tensor.c_str();
    info->first = linear.first;
    info->out = linear.out;
    info->d = call.x.width;
    info->has_bias = linear.bias;
    info->call = number;
    info->column = linear.column;
    info->width = call.y.width;
    return GSIC_OK;
  });
}

gsic_status gsic_linears_run(gsic_linears *linears, uint32_t call, const float *x, size_t columns, float *y) {
  return guard([&] {
    require(linears != nullptr, "gsic_linears_run: linears must not be null");
    require((x != nullptr && y != nullptr) || columns == 0, "gsic_linears_run: x and y must not be null");
    linears->linears.run(call, x, columns, y);
    return GSIC_OK;
  });
}

gsic_status gsic_linears_enqueue(gsic_linears *linears, uint32_t call, const float *x, size_t columns, float *y,
                                 void *stream) {
  return guard([&] {
    require(linears != nullptr, "gsic_linears_enqueue: linears must not be null");
    require((x != nullptr && y != nullptr) || columns == 0, "gsic_linears_enqueue: x and y must not be null");
    linears->linears.enqueue(call, x, columns, y, stream);
    return GSIC_OK;
  });
}
