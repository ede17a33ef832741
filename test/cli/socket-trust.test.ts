import { chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { assertTrustedListener } from "../../src/cli/socket-trust.ts";
import type { PeerCredentialSource } from "../../src/lib/native.ts";

const SELF = process.geteuid?.() ?? 0;
const root = SELF === 0;
const OTHER = 12_345;

const folders: string[] = [];
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function folderIn(parent: string): string {
  const folder = mkdtempSync(join(parent, "holdfast-trust-"));
  chmodSync(folder, 0o755);
  folders.push(folder);
  return folder;
}

async function listenAt(path: string): Promise<void> {
  const server = createServer((socket) => socket.destroy());
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

/** The kernel's word on who listens. */
function servedBy(uid: number): PeerCredentialSource {
  return { peerCredentials: () => ({ uid, handle: { close() {} } }) } as unknown as PeerCredentialSource;
}

async function refusal(path: string, uid: number): Promise<string | undefined> {
  try {
    await assertTrustedListener(path, servedBy(uid));
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: "PERMISSION_DENIED" });
    return (error as Error).message;
  }
}

describe("a listener that is root or ourselves", () => {
  test("is believed where nobody else can put another in its place", async () => {
    const folder = folderIn(tmpdir());
    mkdirSync(join(folder, "private"));
    symlinkSync("private", join(folder, "link"));
    const path = join(folder, "private/api.sock");
    await listenAt(path);
    expect(await refusal(path, 0)).toBeUndefined();
    expect(await refusal(path, SELF)).toBeUndefined();
    expect(await refusal(join(folder, "link/api.sock"), 0)).toBeUndefined();
  });

  test("is not where anybody may write: the next call may reach another", async () => {
    const folder = folderIn(tmpdir());
    const path = join(folder, "api.sock");
    await listenAt(path);
    chmodSync(folder, 0o777);
    expect(await refusal(path, 0)).toContain(`${folder} `);
    // Sticky keeps others from taking the socket away, not from having been there first.
    chmodSync(folder, 0o1777);
    expect(await refusal(path, 0)).toContain(`${folder} `);
  });

  test.skipIf(!root)("(as root) is not behind another user's folder or link", async () => {
    const folder = folderIn(tmpdir());
    mkdirSync(join(folder, "real"));
    await listenAt(join(folder, "real/api.sock"));
    mkdirSync(join(folder, "theirs"));
    symlinkSync("../real", join(folder, "theirs/private"));
    chownSync(join(folder, "theirs"), OTHER, OTHER);
    expect(await refusal(join(folder, "theirs/private/api.sock"), 0)).toContain(`uid ${OTHER}`);
    chownSync(join(folder, "theirs"), 0, 0);
    expect(await refusal(join(folder, "theirs/private/api.sock"), 0)).toBeUndefined();
    lchownSync(join(folder, "theirs/private"), OTHER, OTHER);
    expect(await refusal(join(folder, "theirs/private/api.sock"), 0)).toContain(`uid ${OTHER}`);
  });
});

describe("a listener that is another user", () => {
  test("is not believed below a folder that anybody may write to", async () => {
    const folder = folderIn(tmpdir());
    const path = join(folder, "api.sock");
    await listenAt(path);
    expect(await refusal(path, OTHER)).toContain(`uid ${OTHER}`);
  });

  test.skipIf(!root)("(as root) is believed where only root and that user may write", async () => {
    const folder = folderIn("/run");
    const path = join(folder, "api.sock");
    await listenAt(path);
    chownSync(folder, OTHER, OTHER);
    expect(await refusal(path, OTHER)).toBeUndefined();
    chmodSync(folder, 0o775);
    expect(await refusal(path, OTHER)).toContain(`${folder} `);
    chmodSync(folder, 0o755);
    chownSync(folder, OTHER + 1, OTHER);
    expect(await refusal(path, OTHER)).toContain(`uid ${OTHER + 1}`);
  });
});
