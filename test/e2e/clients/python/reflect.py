"""Lists what the socket offers and fetches an X.509-SVID, knowing no more of the API than the method's name."""
import os

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

with grpc.insecure_channel(os.environ["SPIFFE_ENDPOINT_SOCKET"]) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    for service in database.get_services():
        for method in pool.FindServiceByName(service).methods:
            print(f"/{service}/{method.name}: {method.input_type.name} -> {method.output_type.name}")

    fetch = pool.FindServiceByName("SpiffeWorkloadAPI").methods_by_name["FetchX509SVID"]
    request, response = GetMessageClass(fetch.input_type), GetMessageClass(fetch.output_type)
    call = channel.unary_stream("/SpiffeWorkloadAPI/FetchX509SVID", request.SerializeToString, response.FromString)
    for update in call(request(), metadata=[("workload.spiffe.io", "true")]):
        print(", ".join(svid.spiffe_id for svid in update.svids))
        break
