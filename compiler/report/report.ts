import type { CacheType } from "../ir/graph.js";
import type { ByteAccount, Form } from "../ir/plan.js";
import type { DeviceKind, LaunchShape, Mode, ProgramMode } from "../ir/program.js";
import type { CalibrationOrigin } from "../ir/statistics.js";
import type { Evaluation } from "./evaluation.js";
import type { LaunchTimesByMode } from "./launch-times.js";
import type { Measurements } from "./measurements.js";
import type { Prediction } from "./prediction.js";
import type { ResourceFacts } from "./resources.js";
import type { SearchReport } from "./search.js";
import type { SelfCheck } from "./self-check.js";
import type { StorageReport } from "./storage.js";
import type { TuningReport } from "./tuning.js";

/** What a build chose, why, and what it costs: report.json. Times are predictions unless `evaluation` says more. */
export interface Report {
  readonly gsic: string;
  readonly name: string;
  readonly family: string;
  /** Path of model.toml, relative to the build folder. */
  readonly config: string;
  readonly model: { readonly source: string; readonly fingerprint: string };
  readonly mode: Mode;
  readonly modes: readonly Mode[];
  readonly targets: readonly string[];
  readonly device: DeviceKind;
  readonly context: number;
  /** Why the executable takes token ids only; null if it takes text. */
  readonly text_unavailable: string | null;
  /** How conversations are written for the model; null if its files do not say. */
  readonly chat: ChatReport | null;
  readonly calibration: { readonly tokens: number; readonly origin: CalibrationOrigin } | null;
  /** How the planner came to the plan; null where the forms were configured, or edited. */
  readonly search: SearchReport | null;
  /** Where it was measured how weights are best kept. */
  readonly storage?: StorageReport;
  /** Bytes of weights that a token reads in all linears. */
  readonly bytes_per_token: { readonly dense: number; readonly fast: number; readonly slow: number };
  /** Seconds of a token by the target's cost model, from bytes and launches. */
  readonly predicted_seconds_per_token: {
    readonly dense: number;
    readonly fast: number;
    readonly slow: number;
  };
  /** What those seconds are made of. */
  readonly prediction: { readonly dense: Prediction; readonly fast: Prediction; readonly slow: Prediction };
  readonly launches_per_token: Readonly<Partial<Record<ProgramMode, number>>>;
  /** Launches that are a part of a layer, per layer. */
  readonly launches_per_layer: Readonly<Partial<Record<ProgramMode, number>>>;
  /** The KV cache as the plan keeps it; exact mode keeps f32. */
  readonly cache: {
    /** By layer. */
    readonly types: readonly CacheType[];
    /** What a token reads of each position before it, in all layers. */
    readonly bytes_per_position: number;
    readonly dense_bytes_per_position: number;
  };
  readonly linears: readonly {
    readonly linear: string;
    /** Null outside the layers, as of the output head. */
    readonly layer: number | null;
    /** The value that it reads; linears of one input share their gate. */
    readonly input: string;
    readonly form: Form;
    readonly bytes: ByteAccount;
    readonly verdict: string;
  }[];
  readonly kernels: readonly {
    readonly symbol: string;
    readonly summary: string;
    /** Null on CPUs. */
    readonly launch: LaunchShape | null;
    /** What the compiled kernel takes of the device, by target; no entry where the compiler does not say. */
    readonly resources: Readonly<Record<string, ResourceFacts>>;
  }[];
  /** How projections are divided among waves, and by what; null on CPUs. */
  readonly tuning: TuningReport | null;
  readonly self_check: SelfCheck;
  /** What `gsic eval` measured on the configured texts; null until then. */
  readonly evaluation: Evaluation | null;
  /** What `gsic bench` measured, wherever that was; null until then. */
  readonly speed: Measurements | null;
  /** What `gsic bench --launches` measured; null until then. */
  readonly launch_times: LaunchTimesByMode | null;
}

/** What `chat_template.jinja` of the build folder goes with. */
interface ChatReport {
  /** The template's name in the build folder. */
  readonly template: string;
  /** Special tokens that the template may name. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Ids that end a turn, beside the end of text. */
  readonly end_ids: readonly number[];
}
