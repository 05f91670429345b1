import { readFile } from 'node:fs/promises';

/** What decides whether a process that started on one CPU can go on on another. */
export interface CpuFeatures {
  vendor: string;
  model: string;
  /** Instruction-set flags in the kernel's names, sorted, present on every CPU of the node. */
  flags: string[];
}

export interface CpuReason {
  code: 'cpu-vendor' | 'cpu-features';
  message: string;
  /** Flags that the source has and the target lacks. */
  flags: string[];
}

/**
 * Flags of /proc/cpuinfo that say something about clocks, power, virtualisation, mitigations, monitoring or what only
 * the kernel may execute. A user program neither tests them through cpuid to choose its code nor keeps state that
 * depends on them, so a move may cross them; they also come and go with kernel versions and boot options.
 * A list of what to ignore, not of what counts: a new instruction set must not slip through because it is unknown here.
 * Source: arch/x86/include/asm/cpufeatures.h.
 */
const notInstructions = new Set(
  [
    // clocks and what the kernel notes for itself
    'constant_tsc nonstop_tsc nonstop_tsc_s3 tsc_known_freq tsc_reliable tsc_adjust tsc_deadline_timer tsc_scale art',
    'arat rep_good nopl xtopology cpuid cpuid_fault up aperfmperf extd_apicid cmp_legacy topoext nodeid_msr ht ss',
    // speed of string instructions, which exist without them
    'erms fsrm fzrm fsrs fsrc',
    // interrupts, paging, and instructions of the kernel
    'apic x2apic extapic vme de pse pse36 pae pge mce mca mtrr pat msr pcid invpcid invpcid_single smep smap umip',
    'la57 nx pdpe1gb lass lam fred wrmsrns invlpgb bus_lock_detect split_lock_detect arch_capabilities',
    'core_capabilities pti tce osvw skinit wdt',
    // power
    'acpi tm tm2 est pbe dtherm ida pln pts hwp hwp_notify hwp_act_window hwp_epp hwp_pkg_req hfi epb cpb hw_pstate',
    'proc_feedback cppc intel_ppin ring3mwait monitor',
    // virtualisation
    'vmx svm smx hypervisor npt lbrv svm_lock nrip_save vmcb_clean flushbyasid decodeassists pausefilter pfthreshold',
    'tpr_shadow vnmi flexpriority ept vpid ept_ad sev sev_es sev_snp sme debug_swap v_vmsave_vmload vgif v_spec_ctrl',
    'avic x2avic tdx_guest tdx_host_platform sgx sgx_lc',
    // monitoring and debugging
    'dts ds_cpl bts pebs arch_perfmon pdcm dtes64 xtpr sdbg dca perfctr_core perfctr_nb perfctr_l2 perfctr_llc bpext',
    'ibs arch_lbr intel_pt ptsc perfmon_v2 amd_lbr_v2 amd_lbr_pmc_freeze cqm cqm_llc cqm_occup_llc cqm_mbm_total',
    'cqm_mbm_local cat_l2 cat_l3 cdp_l2 cdp_l3 mba rdt_a bmec smba overflow_recov succor smca brs',
    // mitigations
    'ssbd ibrs ibpb stibp ibrs_enhanced retpoline rsb_ctxsw intel_stibp md_clear flush_l1d spec_ctrl virt_ssbd ssb_no',
    'rtm_always_abort tsx_force_abort amd_stibp stibp_always_on irperf autoibrs ibpb_brtype',
  ].flatMap((line) => line.split(' ')),
);

/** True for a flag that a program's instructions may depend on. */
export function isInstructionFlag(flag: string): boolean {
  return !notInstructions.has(flag);
}

/**
 * Reads a text in the format of /proc/cpuinfo (x86: `flags`, ARM: `Features`). A node whose CPUs differ (hybrid parts)
 * has the flags that all of them share.
 */
export function parseCpuinfo(text: string): CpuFeatures {
  const first = (key: string) => new RegExp(`^${key}\\s*: ?(.*)$`, 'm').exec(text)?.[1]?.trim();
  const lines = new Set([...text.matchAll(/^(?:flags|Features)\s*: ?(.*)$/gm)].map(([, flags]) => flags?.trim() ?? ''));
  const sets = [...lines].map((line) => new Set(line.split(/\s+/).filter((flag) => flag !== '')));
  const common = sets.reduce((left, right) => left.intersection(right), sets[0] ?? new Set<string>());
  return {
    vendor: first('vendor_id') ?? first('CPU implementer') ?? 'unknown',
    model: first('model name') ?? first('CPU part') ?? 'unknown',
    flags: [...common].filter(isInstructionFlag).sort(),
  };
}

/** The CPU of this node, from /proc/cpuinfo. */
export async function cpuFeatures(file = '/proc/cpuinfo'): Promise<CpuFeatures> {
  return parseCpuinfo(await readFile(file, 'utf8'));
}

/**
 * Why a process of `source` cannot go on on `target`; empty where it can. A program chose its code by the CPU that it
 * started on (ifunc, cpuid), so a missing flag ends in SIGILL long after the move. Other vendors lay the XSAVE area out
 * differently (AMD puts PKRU where Intel has MPX), so registers saved there cannot be loaded here.
 */
export function compareCpu(source: CpuFeatures, target: CpuFeatures): CpuReason[] {
  const reasons: CpuReason[] = [];
  if (source.vendor !== target.vendor) {
    const message = `the CPU of the source is by ${source.vendor} (${source.model}), the target's by ${target.vendor} (${target.model})`;
    reasons.push({ code: 'cpu-vendor', message, flags: [] });
  }
  const has = new Set(target.flags);
  const flags = source.flags.filter((flag) => !has.has(flag));
  if (flags.length > 0) {
    const message = `the CPU of the target (${target.model}) lacks ${flags.join(' ')}, which the source (${source.model}) has`;
    reasons.push({ code: 'cpu-features', message, flags });
  }
  return reasons;
}
