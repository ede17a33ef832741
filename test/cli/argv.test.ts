import { expect, test } from "vitest";
import { normalizeArgv } from "../../src/cli/argv.ts";

const switches = new Set(["admin", "node"]);
const valued = new Set(["spiffeID", "data", "entryExpiry"]);

test.each([
  [["-spiffeID", "spiffe://td/a"], ["--spiffeID=spiffe://td/a"]],
  [["--spiffeID", "spiffe://td/a"], ["--spiffeID=spiffe://td/a"]],
  [["-spiffeID=spiffe://td/a"], ["--spiffeID=spiffe://td/a"]],
  [["-admin"], ["--admin"]],
  [["-admin=true", "-node=false"], ["--admin"]],
  [["-admin=maybe"], ["--admin=maybe"]],
  [["-data", "-"], ["--data=-"]],
  [["-entryExpiry", "-1"], ["--entryExpiry=-1"]],
  [["-spiffeID", "-admin"], ["--spiffeID=-admin"]],
  [["-spiffeID"], ["--spiffeID"]],
  [["-h"], ["-h"]],
  [
    ["entry", "create", "-nosuch", "x"],
    ["entry", "create", "--nosuch", "x"],
  ],
  [
    ["--", "-admin"],
    ["--", "-admin"],
  ],
  [["-data=a\nb"], ["--data=a\nb"]],
])("%j is read as %j", (argv, expected) => {
  expect(normalizeArgv(argv, switches, valued)).toEqual(expected);
});
