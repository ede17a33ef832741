import { expect, test } from "vitest";
import { AgentError, errorCode, errorText, findAgentError, publicError } from "../../src/lib/errors.ts";
import { GrpcCode, grpcCodeName, toGrpcStatus } from "../../src/lib/grpc-status.ts";

test("the peer hears less than the log", () => {
  const error = new AgentError("PERMISSION_DENIED", "PCR 7 differs: got abcd");
  expect(toGrpcStatus(error)).toEqual({ code: GrpcCode.PERMISSION_DENIED, message: "permission denied" });
  expect(errorText(error)).toBe("PCR 7 differs: got abcd");
});

test("a public error says the same to both", () => {
  expect(toGrpcStatus(publicError("INVALID_ARGUMENT", "path cannot have a trailing slash")).message).toBe(
    "path cannot have a trailing slash",
  );
});

test("an AgentError is found at any depth of causes", () => {
  const deep = new Error("outer", {
    cause: new Error("middle", { cause: new AgentError("NOT_FOUND", "no such entry") }),
  });
  expect(errorCode(deep)).toBe("NOT_FOUND");
  expect(errorText(deep)).toBe("outer: middle: no such entry");
});

test("a bug is INTERNAL and tells the peer nothing", () => {
  expect(toGrpcStatus(new TypeError("secret is undefined"))).toEqual({
    code: GrpcCode.INTERNAL,
    message: "internal error",
  });
  expect(findAgentError("text")).toBeUndefined();
});

test("a circle of causes ends", () => {
  const a = new Error("a");
  a.cause = a;
  expect(errorText(a)).toBe("a");
  expect(errorCode(a)).toBe("INTERNAL");
});

test("status codes are named as SPIRE's tools print them", () => {
  expect(grpcCodeName(5)).toBe("NotFound");
  expect(grpcCodeName(6)).toBe("AlreadyExists");
  expect(grpcCodeName(0)).toBe("OK");
  expect(grpcCodeName(99)).toBe("Code(99)");
});
