/** How the clients are built, from their registries, and started. */
import { join, resolve } from "node:path";
import { type Outcome, run } from "../support.ts";
import type { Recipe } from "./support.ts";

export const GO: Recipe = {
  language: "go",
  toolchain: ["go", "version"],
  build: (folder) => run("go", ["build", "-C", folder, "-o", "client", "."]),
  command: (folder) => [join(folder, "client")],
};

export const PYTHON: Recipe = {
  language: "python",
  toolchain: ["python3", "-c", "import sys, venv, ensurepip; print(sys.version, sys.prefix)"],
  build: async (folder) => {
    const made = await run("python3", ["-m", "venv", join(folder, "venv")]);
    if (made.status !== 0) return made;
    const install = [
      "-m",
      "pip",
      "install",
      "-q",
      "--disable-pip-version-check",
      "-r",
      join(folder, "requirements.txt"),
    ];
    return run(join(folder, "venv/bin/python3"), install);
  },
  command: (folder) => [join(folder, "venv/bin/python3"), join(folder, "client.py")],
};

/** The same libraries, another program. */
export const REFLECTION: Recipe = {
  ...PYTHON,
  command: (folder) => [join(folder, "venv/bin/python3"), join(folder, "reflect.py")],
};

export const RUST: Recipe = {
  language: "rust",
  toolchain: ["cargo", "--version"],
  build: async (folder): Promise<Outcome> => {
    const built = await run("cargo", ["build", "--quiet", "--locked", "--manifest-path", join(folder, "Cargo.toml")]);
    if (built.status !== 0) return built;
    return run("cp", [join(folder, "target/debug/client"), join(folder, "client")]);
  },
  command: (folder) => [join(folder, "client")],
  waste: "target",
  onlyWith: "HOLDFAST_BUILD_RUST",
};

export const JAVA: Recipe = {
  language: "java",
  toolchain: ["mvn", "-version"],
  build: (folder) => run("mvn", ["-q", "-B", "-f", join(folder, "pom.xml"), "dependency:copy-dependencies"]),
  command: (folder) => ["java", "-cp", join(folder, "target/dependency/*"), join(folder, "Client.java")],
};

/** Needs no building: its libraries are among our own. */
export const NODE_CLIENT: readonly string[] = [
  process.execPath,
  join(import.meta.dirname, "node/client.mjs"),
  resolve(import.meta.dirname, "../../../proto/workload/workload.proto"),
];
