// gsic inside a program that uses GPUs itself, as PyTorch does: it finds its current device, and no error, after every
// call.
#include <dlfcn.h>

#include "check.h"

namespace {

/// The program's own look at the driver.
class Host {
 public:
  explicit Host(bool hip) {
    void *driver = dlopen(std::getenv("GSIC_DRIVER"), RTLD_NOW | RTLD_LOCAL);
    CHECK(driver != nullptr);
    const auto find = [&](auto &function, const char *name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(driver, name));
      CHECK(function != nullptr);
    };
    int (*initialize)(unsigned) = nullptr;
    find(initialize, hip ? "hipInit" : "cuInit");
    CHECK(initialize(0) == 0);
    if (hip) {
      int (*set)(int) = nullptr;
      find(set, "hipSetDevice");
      CHECK(set(0) == 0);
      find(device_, "hipGetDevice");
      find(error_, "hipPeekAtLastError");
    } else {
      int (*retain)(void **, int) = nullptr, (*set)(void *) = nullptr;
      find(retain, "cuDevicePrimaryCtxRetain");
      find(set, "cuCtxSetCurrent");
      CHECK(retain(&own_, 0) == 0 && set(own_) == 0);
      find(context_, "cuCtxGetCurrent");
    }
  }

  void check() const {
    int device = -1;
    void *context = nullptr;
    if (device_ != nullptr) CHECK(device_(&device) == 0 && device == 0);
    if (error_ != nullptr) CHECK(error_() == 0);
    if (context_ != nullptr) CHECK(context_(&context) == 0 && context == own_);
  }

 private:
  int (*device_)(int *) = nullptr, (*error_)() = nullptr, (*context_)(void **) = nullptr;
  void *own_ = nullptr;
};

}  // namespace

void check_guest(const char *bundle, const char *which) {
  const Host host(std::string(which) == "hip");
  gsic_open_options options = {};
  options.device = 7;
  gsic_model *model = nullptr;
  CHECK(gsic_open(bundle, &options, &model) == GSIC_NO_DEVICE);
  CHECK(std::string(gsic_last_error()).find("shows no device 7: it shows 2") != std::string::npos);
  host.check();
  options.device = 1;
  CHECK(gsic_open(bundle, &options, &model) == GSIC_OK);
  host.check();
  gsic_session *session = nullptr;
  CHECK(gsic_session_open(model, nullptr, &session) == GSIC_OK);
  host.check();
  const std::vector<int32_t> ids = some_ids(20, 1);
  std::vector<float> logits(kVocabulary);
  CHECK(gsic_evaluate(session, ids.data(), ids.size(), logits.data(), 1) == GSIC_OK);
  host.check();
  int32_t generated[8];
  size_t produced = 0;
  CHECK(gsic_generate(session, ids.data(), 1, 8, nullptr, nullptr, nullptr, generated, &produced) == GSIC_OK);
  host.check();
  gsic_session_close(session);
  host.check();
  gsic_close(model);
  host.check();
}
