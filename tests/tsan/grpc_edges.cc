// Tells ThreadSanitizer that a gRPC operation ends after it began.
//
// Debian's gRPC is not instrumented, and hands operations from thread to thread through atomics
// that ThreadSanitizer does not see; what a thread wrote before it began one would seem to race
// with the callback at its end. Linked into a program, these definitions go before those of
// libgrpc.so, also for the calls that libgrpc.so and libgrpc++.so make themselves.
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <grpcpp/support/server_callback.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"

struct grpc_cq_completion;

namespace {

template <typename Function>
Function* Next(const char* symbol) {
  void* const next = dlsym(RTLD_NEXT, symbol);
  if (next == nullptr) {
    std::fprintf(stderr, "grpc_edges: this gRPC has no %s\n", symbol);
    std::abort();
  }
  return reinterpret_cast<Function*>(next);
}

}  // namespace

extern "C" grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count,
                                                 void* tag, void* reserved) {
  static auto* const next = Next<decltype(grpc_call_start_batch)>("grpc_call_start_batch");
  __tsan_release(tag);
  return next(call, ops, count, tag, reserved);
}

// Of libgrpc.so, and not in its headers: every operation's end, on the thread that ends it.
void grpc_cq_end_op(grpc_completion_queue* queue, void* tag, absl::Status error,
                    void (*done)(void*, grpc_cq_completion*), void* argument,
                    grpc_cq_completion* storage, bool internal) {
  static auto* const next = Next<decltype(grpc_cq_end_op)>(
      "_Z14grpc_cq_end_opP21grpc_completion_queuePvN4absl7debian36StatusE"
      "PFvS1_P18grpc_cq_completionES1_S6_b");
  __tsan_acquire(tag);
  __tsan_release(tag);
  next(queue, tag, std::move(error), done, argument, storage, internal);
}

// Who waits for the end, and runs the callback.
extern "C" grpc_event grpc_completion_queue_next(grpc_completion_queue* queue,
                                                 gpr_timespec deadline, void* reserved) {
  static auto* const next =
      Next<decltype(grpc_completion_queue_next)>("grpc_completion_queue_next");
  const grpc_event event = next(queue, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) {
    __tsan_acquire(event.tag);
  }
  return event;
}

extern "C" grpc_event grpc_completion_queue_pluck(grpc_completion_queue* queue, void* tag,
                                                  gpr_timespec deadline, void* reserved) {
  static auto* const next =
      Next<decltype(grpc_completion_queue_pluck)>("grpc_completion_queue_pluck");
  const grpc_event event = next(queue, tag, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) {
    __tsan_acquire(tag);
  }
  return event;
}

namespace grpc::internal {
namespace {

// Of one OnCancel, which comes before the OnDone of its call.
class Cancellation final : public ServerReactor {
 public:
  Cancellation(ServerReactor* reactor, void* call) : reactor_(reactor), call_(call) {}

  void OnCancel() override {
    reactor_->OnCancel();
    __tsan_release(call_);
    delete this;
  }
  void OnDone() override {}

 private:
  ServerReactor* const reactor_;
  void* const call_;
};

}  // namespace

void ServerCallbackCall::CallOnCancel(ServerReactor* reactor) {
  static auto* const next = Next<void(ServerCallbackCall*, ServerReactor*)>(
      "_ZN4grpc8internal18ServerCallbackCall12CallOnCancelEPNS0_13ServerReactorE");
  next(this, reactor->InternalInlineable() ? reactor : new Cancellation(reactor, this));
}

// Once all callbacks of a call have returned: libgrpc++.so counts some of them itself.
void ServerCallbackCall::ScheduleOnDone(bool inline_ondone) {
  static auto* const next = Next<void(ServerCallbackCall*, bool)>(
      "_ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb");
  callbacks_outstanding_.load(std::memory_order_acquire);
  __tsan_acquire(this);
  next(this, inline_ondone);
}

}  // namespace grpc::internal
