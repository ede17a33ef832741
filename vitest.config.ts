import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // The end-to-end tests start programs, on machines that may be busy.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
