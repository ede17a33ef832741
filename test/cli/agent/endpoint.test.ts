/** Where the commands find the Workload API (SPIFFE Workload Endpoint, section 4). */
import { describe, expect, test } from "vitest";
import { endpointSocketPath } from "../../../src/cli/agent/endpoint.ts";
import { workloadSocketPath } from "../../../src/cli/agent/workload.ts";
import { fakeCliContext } from "../../fakes/cli-context.ts";

describe("SPIFFE_ENDPOINT_SOCKET", () => {
  test.each([
    ["unix:///run/spire/api.sock", "/run/spire/api.sock"],
    ["unix:/run/spire/api.sock", "/run/spire/api.sock"],
    ["unix:///run/with%20space", "/run/with space"],
  ])("%s is a socket (EP-08, EP-09)", (uri, path) => {
    expect(endpointSocketPath(uri)).toBe(path);
  });

  test.each([
    ["/run/spire/api.sock", "is no URI [EP-08]"],
    ["http://localhost/", "has another scheme [EP-08]"],
    ["UNIX:///run/api.sock", "has a scheme in upper case [EP-08]"],
    ["unix:run/api.sock", "is no absolute path [EP-09]"],
    ["unix://run/api.sock", "has an authority [EP-09]"],
    ["unix:////run/api.sock?a=b", "has a query [EP-09]"],
    ["unix:///run/api.sock#a", "has a fragment [EP-09]"],
    ["unix://", "has no path [EP-09]"],
    ["unix:///", "has no path but the root [EP-09]"],
    ["unix:///run/%zz", "has a broken escape [EP-09]"],
    ["unix:///run/%00", "has a NUL [EP-09]"],
  ])("%s %s and is refused", (uri) => {
    expect(() => endpointSocketPath(uri)).toThrow("SPIFFE_ENDPOINT_SOCKET wants unix:///absolute/path");
  });

  test.each(["tcp://127.0.0.1:8081", "tcp://[::1]:8081"])("%s is understood, and not spoken (EP-10)", (uri) => {
    expect(() => endpointSocketPath(uri)).toThrow("an agent serves no TCP");
  });

  test("counts where no flag says otherwise (EP-07)", () => {
    const context = fakeCliContext({ env: { SPIFFE_ENDPOINT_SOCKET: "unix:///run/a.sock" } });
    expect(workloadSocketPath({}, context)).toBe("/run/a.sock");
    expect(workloadSocketPath({ socketPath: "/run/b.sock" }, context)).toBe("/run/b.sock");
    expect(workloadSocketPath({}, fakeCliContext())).toBe("/tmp/spire-agent/public/api.sock");
    expect(workloadSocketPath({}, fakeCliContext({ env: { SPIFFE_ENDPOINT_SOCKET: "" } }))).toBe(
      "/tmp/spire-agent/public/api.sock",
    );
  });
});
