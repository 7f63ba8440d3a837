import { blockSizes } from "../ir/graph.js";
import { bitWidths } from "../ir/plan.js";
import type { DeviceConfig } from "./device-config.js";
import type { GpuShape, GpuTarget } from "./target.js";
import type { Fields } from "./target-fields.js";

/** Most lanes of a workgroup, on AMD's and on NVIDIA's devices. */
const maxLanes = 1024;
/** Bytes of LDS that a code object may declare: on NVIDIA's devices more must be asked for at launch. */
const maxStaticLds: Readonly<Record<GpuTarget["device"], number>> = { hip: 160 * 1024, cuda: 48 * 1024 };

const shapeKeys = [
  "wave",
  "compute_units",
  "lds",
  "workgroups_per_unit",
  "waves_per_workgroup",
  "cache_bandwidth",
  "clock",
  "latency",
  "instructions",
];
/** Types that a matrix on a GPU may have. */
const weightTypes = [...Object.keys(blockSizes), ...bitWidths.map((bits) => `int${bits}`)];

/** GPUs: kernels are shaped by what a compute unit has. */
export function gpuConfig<Kind extends GpuTarget["device"]>(
  device: Kind,
): DeviceConfig<GpuTarget & { readonly device: Kind }> {
  return {
    keys: ["gpu"],
    read(fields, common) {
      const cost = fields.inner("cost", ["bandwidth", "launch", "step"]);
      return {
        device,
        ...common,
        cost: {
          bandwidth: cost.positive("bandwidth"),
          launch: cost.positive("launch"),
          step: cost.positive("step"),
        },
        features: [],
        gpu: shapeIn(fields.inner("gpu", shapeKeys), maxStaticLds[device]),
      };
    },
    common(targets) {
      const first = targets[0]!;
      const least = (of: (shape: GpuShape) => number) => Math.min(...targets.map(({ gpu }) => of(gpu)));
      return {
        ...first,
        gpu: {
          ...first.gpu,
          lds: least(({ lds }) => lds),
          workgroupsPerUnit: least(({ workgroupsPerUnit }) => workgroupsPerUnit),
          wavesPerWorkgroup: least(({ wavesPerWorkgroup }) => wavesPerWorkgroup),
          cacheBandwidthPerUnit: least(({ cacheBandwidthPerUnit }) => cacheBandwidthPerUnit),
        },
      };
    },
    divided(target, splits) {
      const { wavesPerWorkgroup: waves } = target.gpu;
      const usable = [...splits].filter(([, count]) => count <= waves && waves % count === 0);
      return { ...target, gpu: { ...target.gpu, tuned: new Map(usable) } };
    },
  };
}

function shapeIn(fields: Fields, maxLds: number): GpuShape {
  const wave = fields.count("wave", 64);
  if (wave !== 32 && wave !== 64) throw fields.error("wave", `${wave} is no wave size`, "32 or 64");
  const waves = fields.count("waves_per_workgroup", maxLanes / wave);
  return {
    wave,
    computeUnits: fields.count("compute_units", 4096),
    lds: fields.count("lds", maxLds),
    workgroupsPerUnit: fields.count("workgroups_per_unit", 32),
    wavesPerWorkgroup: waves,
    cacheBandwidthPerUnit: fields.positive("cache_bandwidth"),
    clock: fields.positive("clock"),
    latency: fields.positive("latency"),
    instructions: fields.numbers("instructions", weightTypes),
  };
}
