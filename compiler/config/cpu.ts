import type { DeviceConfig } from "./device-config.js";
import type { CpuTarget } from "./target.js";

/** CPUs: kernels are shaped by nothing but the flags that they are compiled with. */
export const cpuConfig: DeviceConfig<CpuTarget> = {
  keys: ["features"],
  read(fields, common) {
    const cost = fields.inner("cost", ["bandwidth", "step"]);
    return {
      device: "cpu",
      ...common,
      cost: { bandwidth: cost.positive("bandwidth"), launch: 0, step: cost.positive("step") },
      features: fields.texts("features"),
    };
  },
  common: (targets) => targets[0]!,
  divided: null,
};
