// WorkerService over gRPC (callback API).
#pragma once

#include "bitquake/v1/worker.grpc.pb.h"
#include "server/scheduler/coordinator.h"
#include "server/service/access.h"

namespace bitquake {

class WorkerService final : public v1::WorkerService::CallbackService {
 public:
  // Both must outlive the service. `access` may be null: then everybody may do everything.
  WorkerService(Coordinator* coordinator, const Access* access)
      : coordinator_(coordinator), access_(access) {}

  grpc::ServerUnaryReactor* Register(grpc::CallbackServerContext* context,
                                     const v1::RegisterRequest* request,
                                     v1::RegisterResponse* response) override;
  grpc::ServerUnaryReactor* LeaseJobs(grpc::CallbackServerContext* context,
                                      const v1::LeaseJobsRequest* request,
                                      v1::LeaseJobsResponse* response) override;
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext* context,
                                      const v1::HeartbeatRequest* request,
                                      v1::HeartbeatResponse* response) override;
  grpc::ServerBidiReactor<v1::OutcomeReport, v1::OutcomeAck>* StreamOutcomes(
      grpc::CallbackServerContext* context) override;

 private:
  Coordinator* const coordinator_;
  const Access* const access_;
};

}  // namespace bitquake
