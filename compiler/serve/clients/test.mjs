// Clients in Node and in Python against a server of examples/tiny-gpt2, which starts here. Their packages go into
// build/clients-node and a virtual environment in build/clients. The first time that downloads PyTorch, which
// transformers' numbers come from: 3 GB.
//   npm run test:clients            all of them
//   npm run test:clients -- node    those in Node
//   npm run test:clients -- python  those in Python; further arguments are pytest's
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const root = join(folder, "../../..");
const [which = "all", ...more] = process.argv.slice(2);

function run(cwd, command, ...args) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: "inherit" });
  if (error !== undefined) process.stderr.write(`${command}: ${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
}

/** The command that runs the clients in Node. */
function nodeClients() {
  const work = join(root, "build/clients-node");
  mkdirSync(work, { recursive: true });
  copyFileSync(join(folder, "node-packages.json"), join(work, "package.json"));
  copyFileSync(join(folder, "node-clients.mjs"), join(work, "clients.test.mjs"));
  run(work, "npm", "install", "--no-audit", "--no-fund", "--silent");
  return [work, process.execPath, "--test", "clients.test.mjs"];
}

/** The command that runs the clients in Python. */
function pythonClients() {
  const venv = join(root, "build/clients");
  const python = join(venv, "bin/python");
  if (!existsSync(python)) run(root, "python3", "-m", "venv", venv);
  run(root, python, "-m", "pip", "install", "--quiet", "-r", join(folder, "requirements.txt"));
  return [root, python, "-m", "pytest", "-q", "-rs", folder, ...more];
}

run(root, process.execPath, "compiler/setup.mjs");
const commands = [
  ...(which === "python" ? [] : [nodeClients()]),
  ...(which === "node" ? [] : [pythonClients()]),
];

const { buildTiny, tinyToolTemplate } = await import(join(root, "dist/compiler/testing/tiny.js"));
const { openBuild } = await import(join(root, "dist/compiler/build-folder/open.js"));
const { chatTemplateOf } = await import(join(root, "dist/compiler/chat.js"));
const { load } = await import(join(root, "dist/compiler/load.js"));
const { ModelServer } = await import(join(root, "dist/compiler/serve/server.js"));

const built = await buildTiny({ chat: tinyToolTemplate });
const model = await load(built.bundle);
const chat = chatTemplateOf(openBuild(built.folder));
const mode = "exact";
const batch = await model.batch({ mode });
const server = new ModelServer(
  { model, batch, mode, chat, fingerprint: "gsic-test", created: 1 },
  { concurrency: 32, queue: 128, maxTokens: 256, maxTotal: 1 << 16, time: 600, maxBody: 1 << 20, stall: 60 },
);
const url = await server.app.listen({ host: "127.0.0.1", port: 0 });
const env = {
  ...process.env,
  GSIC_SERVER: url,
  GSIC_MODEL: join(root, "examples/tiny-gpt2/model"),
  // Nothing is asked of a hub, and nothing is told to anybody.
  HF_HUB_OFFLINE: "1",
  TOKENIZERS_PARALLELISM: "false",
  LANGSMITH_TRACING: "false",
};
let failed = 0;
for (const [cwd, command, ...args] of commands) {
  const tests = spawn(command, args, { cwd, stdio: "inherit", env });
  if ((await new Promise((resolve) => tests.on("close", resolve))) !== 0) failed = 1;
}
await server.stop(0, new AbortController().signal);
await chat?.close();
model.dispose();
built.remove();
process.exit(failed);
