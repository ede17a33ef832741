/** gRPC server reflection, `v1` and `v1alpha` (SPIFFE Workload Endpoint, section 7), over fixed descriptors. */
import { ServerReflectionRequest, ServerReflectionResponse } from "../gen/grpc/reflection/v1/reflection.ts";
import type { Clock } from "../lib/clock.ts";
import { GrpcCode } from "../lib/grpc-status.ts";
import type { Method } from "../lib/rpc/transport.ts";
import { bidi, type TypedOptions } from "../lib/rpc/typed.ts";
import type { FairTurns } from "./fair-turns.ts";
import { Pace } from "./pace.ts";
import { type ProtoFile, readProtoFile } from "./symbols.ts";

/** Full names of the two services; their messages are the same on the wire. */
export const REFLECTION_SERVICES = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

type Answer = NonNullable<ServerReflectionResponse["messageResponse"]>;

/** What the service needs. */
export interface ReflectionDeps {
  readonly clock: Clock;
  /** Requests wait for their user's turn. */
  readonly turns: FairTurns;
}

/** `ServerReflectionInfo` of both versions. `services` are full names; `descriptors` hold their files and all imports. */
export function reflectionMethods<P extends { readonly uid: number }>(
  { clock, turns }: ReflectionDeps,
  services: readonly string[],
  descriptors: ReadonlyMap<string, Uint8Array>,
  options: TypedOptions = {},
): [path: string, method: Method<P>][] {
  const index = new DescriptorIndex(descriptors);
  const method = bidi<P, ServerReflectionRequest, ServerReflectionResponse>(
    { request: ServerReflectionRequest, response: ServerReflectionResponse },
    async function* (incoming, { peer }, signal) {
      const pace = new Pace(clock.monotonic());
      for await (const request of incoming) {
        const wait = pace.take(clock.monotonic());
        if (wait > 0) await clock.sleep(wait, signal);
        await new Promise<void>((resolve) => turns.run(peer.uid, resolve));
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request, services, index) };
      }
    },
    options,
  );
  return REFLECTION_SERVICES.map((service) => [`/${service}/ServerReflectionInfo`, method]);
}

function answer(request: ServerReflectionRequest, services: readonly string[], index: DescriptorIndex): Answer {
  const asked = request.messageRequest;
  switch (asked?.$case) {
    case "listServices":
      return {
        $case: "listServicesResponse",
        value: { service: [...services].sort().map((name) => ({ name })) },
      };
    case "fileByFilename":
      return files(index.byName(asked.value), asked.value);
    case "fileContainingSymbol":
      return files(index.bySymbol(asked.value), asked.value);
    case "allExtensionNumbersOfType":
      if (index.bySymbol(asked.value) === undefined) return failure(GrpcCode.NOT_FOUND, `unknown: ${asked.value}`);
      // None of our files extends anything.
      return {
        $case: "allExtensionNumbersResponse",
        value: { baseTypeName: asked.value, extensionNumber: [] },
      };
    case "fileContainingExtension":
      return failure(GrpcCode.NOT_FOUND, `unknown extension of ${asked.value.containingType}`);
    case undefined:
      return failure(GrpcCode.INVALID_ARGUMENT, "empty request");
  }
}

function files(found: readonly ProtoFile[] | undefined, name: string): Answer {
  if (found === undefined) return failure(GrpcCode.NOT_FOUND, `unknown: ${name}`);
  return {
    $case: "fileDescriptorResponse",
    value: { fileDescriptorProto: found.map(({ bytes }) => Buffer.from(bytes)) },
  };
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { $case: "errorResponse", value: { errorCode, errorMessage } };
}

/** Read from the descriptors at first use, which most processes never come to. */
class DescriptorIndex {
  readonly #descriptors: ReadonlyMap<string, Uint8Array>;
  #files: ReadonlyMap<string, ProtoFile> | undefined;
  #bySymbol: ReadonlyMap<string, ProtoFile> | undefined;

  constructor(descriptors: ReadonlyMap<string, Uint8Array>) {
    this.#descriptors = descriptors;
  }

  /** The file and all it imports, itself first. */
  byName(name: string): readonly ProtoFile[] | undefined {
    const file = this.#all().get(name);
    return file === undefined ? undefined : this.#withImports(file);
  }

  /** The file that declares the symbol, and all it imports. */
  bySymbol(symbol: string): readonly ProtoFile[] | undefined {
    this.#bySymbol ??= new Map(
      [...this.#all().values()].flatMap((file) => file.symbols.map((name) => [name, file] as const)),
    );
    const file = this.#bySymbol.get(symbol);
    return file === undefined ? undefined : this.#withImports(file);
  }

  #all(): ReadonlyMap<string, ProtoFile> {
    this.#files ??= new Map([...this.#descriptors].map(([name, bytes]) => [name, readProtoFile(name, bytes)]));
    return this.#files;
  }

  #withImports(file: ProtoFile): readonly ProtoFile[] {
    const found = new Set([file]);
    for (const { imports } of found) {
      for (const name of imports) {
        const imported = this.#all().get(name);
        if (imported !== undefined) found.add(imported);
      }
    }
    return [...found];
  }
}
