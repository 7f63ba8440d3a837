import { testBundle } from "../../../runtime/testing/bundle.js";
import { gpuBundle } from "../../../runtime/testing/gpu-bundle.js";
import { artefact, type BadCase, bad } from "./case.js";

const code = new Uint8Array(64);
const spoilt = (change: (manifest: Record<string, unknown>) => void) => artefact(testBundle(code, change));
const manifest = "@/model.gsi: byte 4096";

/** Cases 59 to 61: an artefact that does not belong here. What happens at run time is tested elsewhere. */
export const artefactCases: readonly BadCase[] = [
  bad(
    59,
    "a CPU without the features",
    spoilt((m) => {
      m.targets = (m.targets as unknown[]).slice(0, 1);
    }),
    "no-device",
    "@/model.gsi",
    { category: "environment", says: ["no-such-feature", "--target"] },
  ),
  bad(
    59,
    "no GPU",
    artefact(gpuBundle([{ device: "hip", architecture: "gfx942" }])),
    "no-device",
    "@/model.gsi",
    {
      category: "environment",
      says: ["gfx942"],
    },
  ),
  bad(
    60,
    "of kernels",
    spoilt((m) => {
      m.abi = 3;
    }),
    "bundle-invalid",
    manifest,
    { says: ["manifest.abi is 3, expected an integer from 2 to 2"] },
  ),
  bad(
    60,
    "of the manifest",
    spoilt((m) => {
      m.format = 9;
    }),
    "bundle-invalid",
    manifest,
    { says: ["manifest.format is 9"] },
  ),
  bad(
    60,
    "of the file",
    artefact(testBundle(code).then((file) => file.with(8, 2))),
    "bundle-invalid",
    "@/model.gsi: byte 8",
  ),
  bad(
    61,
    "in the weights",
    artefact(testBundle(code).then((file) => file.with(8200, 1 ^ file[8200]!))),
    "bundle-invalid",
    "@/model.gsi: byte 8192",
    {
      says: ["the hash of section 'weights'", "copy it again"],
    },
  ),
];
