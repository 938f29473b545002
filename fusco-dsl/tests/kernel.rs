//! Device programs: those of all examples are verified for every target, and every change that breaks what must hold is
//! refused, by the fault that says so.

use crate::stages::{CASES, Case, compiled};
use fusco_dsl::cuda::{self, Architecture, Target};
use fusco_dsl::kernel::{
    Act, Barrier, Channel, DeviceKernel, DeviceProgram, Fault, Memory, Step, Strategy, Told, What,
    lower, print, select, verify,
};
use fusco_dsl::schedule::ir::{Op, RoleKind};
use fusco_dsl::sema::hir::Bindings;
use fusco_dsl::{Compiled, compile};
use std::collections::BTreeMap;

/// As it was chosen, not yet verified.
fn device<'s>(compiled: &'s Compiled, target: &Target) -> DeviceProgram<'s> {
    select(&compiled.schedule, target).unwrap_or_else(|d| panic!("{d:#?}"))
}

/// A rank a device, and all ranks on one.
fn shares(compiled: &Compiled) -> [u32; 2] {
    [1, compiled.schedule.ranks as u32]
}

#[test]
fn every_program_is_verified_for_every_target() {
    for (case, program, params) in CASES {
        let compiled = compiled(program, params);
        for architecture in Architecture::names().filter_map(Architecture::find) {
            for ranks in shares(&compiled) {
                let target = Target::new(architecture, ranks);
                if let Err(found) = verify(device(&compiled, &target)) {
                    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                    panic!("{case} on {}, {ranks} ranks a device: {found:#?}", architecture.name);
                }
            }
        }
    }
}

/// Tiles of one kernel lie side by side: a multiprocessor has as many CTAs as it has room for, or the entry is refused.
#[test]
fn tiles_of_one_kernel_fit_or_are_refused() {
    let moves = |n: usize| -> String {
        let one = |i| {
            format!(
                "in a{i}: bf16[i: M, j: M] @ [i/gpu, i, j]; out b{i}: bf16[j: M, i: M] @ [j/gpu, j, i];\n"
            )
        };
        let all: String = (0..n).map(one).collect();
        let moves: String = (0..n).map(|i| format!("b{i}[j, i] <- a{i}[i, j];")).collect();
        format!(
            "program p {{ mesh m {{ gpu: 4 }} const M = 1024; {all} entry main {{ {moves} }} }}"
        )
    };
    let mut refused = 0;
    for number in [1, 2, 4, 8] {
        let compiled = compile(&moves(number), None, &Bindings::new()).expect("it compiles");
        for architecture in Architecture::names().filter_map(Architecture::find) {
            for ranks in shares(&compiled) {
                if let Err(found) = lower(&compiled.schedule, &Target::new(architecture, ranks)) {
                    assert!(number > 2 && found.0.iter().all(|d| d.code == "F0999"), "{found:?}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 0);
}

/// Where there are more ranks than CTAs of few multiprocessors, more share one, or the device is refused.
#[test]
fn too_many_ranks_for_a_device_are_refused() {
    let (_, program, params) = CASES[0];
    let compiled = compiled(program, params);
    let (_, odd, params) = CASES[1];
    let odd = crate::stages::compiled(odd, params);
    lower(&odd.schedule, &Target { sms: 1, ..Target::hopper(3) }).expect("three CTAs share one");
    let target = Target { sms: 1, ..Target::hopper(8) };
    let found = lower(&compiled.schedule, &target).expect_err("eight ranks on one multiprocessor");
    assert!(found.0.iter().all(|d| d.code == "F0706" && d.span != Default::default()), "{found:?}");
}

#[test]
fn device_programs() {
    for (case, program, params) in CASES {
        let compiled = compiled(program, params);
        let target = Target::hopper(compiled.schedule.ranks as u32);
        let program_ = lower(&compiled.schedule, &target).expect("it is verified");
        insta::with_settings!({ description => format!("{program} {params:?}"), omit_expression => true }, {
            insta::assert_snapshot!(format!("{case}.kernel"), print(&program_, |_| true));
        });
    }
}

/// Ranks of several devices ask for rows, wait and signal.
#[test]
fn device_program_of_one_rank_a_device() {
    let (_, program, params) = CASES[0];
    let compiled = compiled(program, params);
    let program = lower(&compiled.schedule, &Target::hopper(1)).expect("it is verified");
    insta::with_settings!({ description => format!("moe {params:?}"), omit_expression => true }, {
        insta::assert_snapshot!("moe.apart.kernel", print(&program, |_| true));
    });
}

/// Texts with a ring or with staged rows, and the kernels that they print.
fn texts(compiled: &Compiled, target: &Target) -> Vec<(DeviceKernel, String)> {
    let program = lower(&compiled.schedule, target).expect("it is verified");
    let (_, texts) = cuda::print_each(&program);
    let staged = |k: &DeviceKernel| matches!(k.strategy, Strategy::Bulk(_) | Strategy::Ring(_));
    let all = program.kernels.iter().cloned().zip(texts);
    all.filter(|(kernel, _)| staged(kernel)).collect()
}

/// What the lines of a text do to the channels, in order, once what is done twice.
fn done(kernel: &DeviceKernel, lines: &[&str]) -> Vec<(Act, &'static str)> {
    let named = |barrier: Barrier| match barrier {
        Barrier::Mbarrier { name, .. } => Some(name),
        Barrier::Peer(word) => Some(word.name),
        Barrier::Cta { .. } | Barrier::Grid { .. } | Barrier::Order => None,
    };
    let on = |word: &str, full: Act, empty: Act| {
        kernel.pipeline.channels.iter().find_map(|c| match word {
            word if named(c.full) == Some(word) => Some((full, c.name)),
            word if named(c.empty) == Some(word) => Some((empty, c.name)),
            _ => None,
        })
    };
    let mut out = Vec::new();
    for line in lines {
        let after = |call: &str| {
            let rest = &line[line.find(call)? + call.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            Some(rest[..end].to_string())
        };
        let waits = after("wait_mbarrier(&").or_else(|| after("test_mbarrier(&"));
        let waits = waits.or_else(|| after("wait_for(&"));
        let fills = after("arrive_mbarrier(&").or_else(|| after("expect_bulk(&"));
        let told = after("publish_peer(&plans.at[peer]->").or_else(|| after("[tuple.owner]->"));
        let found = match (waits, fills, told) {
            (Some(word), ..) => on(&word, Act::Await, Act::Reserve),
            (_, Some(word), _) => on(&word, Act::Fill, Act::Free),
            (_, _, Some(word)) => on(&word, Act::Fill, Act::Free),
            _ if line.contains("load_acquire(word)") => Some((Act::Await, "asked")),
            _ if line.contains("post_peer(word, 0)") => Some((Act::Free, "asked")),
            _ => None,
        };
        let found = found.filter(|f| !out.contains(f));
        out.extend(found);
    }
    out
}

/// The steps of a group that are calls, in order.
fn steps(kernel: &DeviceKernel, group: usize) -> Vec<(Act, &'static str)> {
    let silent = |step: &&Step| {
        let channel = kernel.pipeline.channel(step.channel).expect("a channel");
        step.act == Act::Claim || step.act == Act::Free && channel.empty == Barrier::Order
    };
    let all = &kernel.pipeline.groups[group].steps;
    let all = all.iter().filter(|s| !silent(s) || s.channel == "asked" && s.act == Act::Free);
    all.map(|s| (s.act, s.channel)).collect()
}

/// What is verified is what is printed: each group's text takes, fills, awaits and frees what the data says, in that order.
#[test]
fn texts_do_what_the_pipelines_say() {
    let (mut rings, mut mails) = (0, 0);
    for (case, program, params) in CASES {
        let compiled = compiled(program, params);
        for ranks in shares(&compiled) {
            for (kernel, text) in texts(&compiled, &Target::hopper(ranks)) {
                let Strategy::Ring(ring) = &kernel.strategy else { continue };
                let first = text.find("if (threadIdx.x < ADDERS) {").expect("those that add up");
                let indent = first - text[..first].rfind('\n').map_or(0, |at| at + 1);
                let other = format!("\n{}else", " ".repeat(indent));
                let end = format!("\n{}}}\n", " ".repeat(indent - 4));
                let body = &text[first..];
                let body = &body[..body.find(&end).unwrap_or(body.len())];
                let sections: Vec<&str> = body.split(&other).collect();
                assert_eq!(sections.len(), kernel.pipeline.groups.len(), "{case}/{ranks}: {text}");
                for (i, section) in sections.iter().enumerate() {
                    let lines: Vec<&str> = section.lines().collect();
                    let name = kernel.pipeline.groups[i].name;
                    assert_eq!(done(&kernel, &lines), steps(&kernel, i), "{case}/{ranks}: {name}");
                }
                rings += 1;
                mails += usize::from(ring.mail.is_some());
            }
        }
    }
    assert!(rings > 10 && mails > 5, "{rings} rings, {mails} of them with mail");
}

/// One change of a device program, and the fault that it must give.
struct Mutant<'s> {
    name: &'static str,
    program: DeviceProgram<'s>,
    fits: fn(&Fault) -> bool,
}

struct Mutants<'s> {
    program: DeviceProgram<'s>,
    out: Vec<Mutant<'s>>,
}

impl<'s> Mutants<'s> {
    fn add(
        &mut self,
        name: &'static str,
        fits: fn(&Fault) -> bool,
        change: impl FnOnce(&mut DeviceProgram<'s>),
    ) {
        let mut program = self.program.clone();
        change(&mut program);
        self.out.push(Mutant { name, program, fits });
    }

    fn all(mut self) -> Vec<Mutant<'s>> {
        for k in 0..self.program.kernels.len() {
            let kernel = self.program.kernels[k].clone();
            self.launch(k, &kernel);
            self.shared(k, &kernel);
            self.groups(k, &kernel);
            self.channels(k, &kernel);
            self.mail(k, &kernel);
            self.roles(k, &kernel);
        }
        self.workspaces();
        self.out
    }

    fn launch(&mut self, k: usize, kernel: &DeviceKernel) {
        let sms = self.program.target.sms;
        self.add(
            "half a warp",
            |f| matches!(f, Fault::Threads { .. }),
            |p| {
                p.kernels[k].form.threads += 16;
            },
        );
        self.add(
            "more threads than a CTA has",
            |f| matches!(f, Fault::Threads { .. }),
            |p| {
                p.kernels[k].form.threads = 2048;
            },
        );
        self.add(
            "more CTAs on a multiprocessor",
            |f| matches!(f, Fault::Occupancy { .. }),
            |p| {
                p.kernels[k].form.resident = 64;
            },
        );
        self.add(
            "other CTAs a rank",
            |f| matches!(f, Fault::Grid { .. }),
            |p| {
                p.kernels[k].form.ctas_per_rank += 1;
                p.kernels[k].form.flat = false;
            },
        );
        self.add(
            "a kernel less",
            |f| matches!(f, Fault::Missing),
            |p| {
                p.kernels.remove(k);
            },
        );
        if matches!(kernel.strategy, Strategy::Plan(_)) {
            self.add(
                "other CTAs that plan",
                |f| matches!(f, Fault::Planning { .. }),
                |p| {
                    let form = &mut p.kernels[k].form;
                    (form.ctas_per_rank, form.grid.0) = (form.ctas_per_rank + 1, form.grid.0 + 1);
                },
            );
        }
        if !waits(kernel) {
            return;
        }
        self.add(
            "a larger grid",
            |f| matches!(f, Fault::NotResident { .. }),
            |p| {
                let form = &mut p.kernels[k].form;
                form.grid.0 += sms * form.resident;
                if !form.flat {
                    form.ctas_per_rank = form.grid.0;
                }
            },
        );
        self.add(
            "a plain launch",
            |f| matches!(f, Fault::NotCooperative),
            |p| {
                p.kernels[k].form.cooperative = false;
            },
        );
        self.add(
            "a grid that shrinks",
            |f| matches!(f, Fault::Shrinks),
            |p| {
                p.kernels[k].form.by_position =
                    Some(fusco_dsl::kernel::ByPosition { each: 1, least: 1 });
            },
        );
    }

    fn shared(&mut self, k: usize, kernel: &DeviceKernel) {
        if kernel.form.shared_bytes > 0 {
            self.add(
                "less shared memory",
                |f| matches!(f, Fault::Shared { .. }),
                |p| {
                    p.kernels[k].form.shared_bytes -= 128;
                },
            );
        }
        for (i, region) in kernel.shared.iter().enumerate() {
            self.add(
                "a region beyond",
                |f| matches!(f, Fault::Beyond { .. }),
                |p| {
                    p.kernels[k].shared[i].offset += 1 << 20;
                },
            );
            let before = kernel.shared[..i].iter().find(|r| r.memory == region.memory);
            if let Some(offset) = before.map(|r| r.offset) {
                self.add(
                    "a region on another",
                    |f| matches!(f, Fault::Overlap { .. }),
                    |p| {
                        p.kernels[k].shared[i].offset = offset;
                    },
                );
            }
            let rows = matches!(
                kernel.strategy,
                Strategy::Bulk(_) | Strategy::Once(_) | Strategy::Ring(_)
            );
            if rows && region.memory == Memory::Dynamic {
                self.add(
                    "a smaller region",
                    |f| matches!(f, Fault::Small { .. }),
                    |p| {
                        p.kernels[k].shared[i].bytes -= 128;
                    },
                );
                self.add(
                    "a region less",
                    |f| matches!(f, Fault::NoRegion(_)),
                    |p| {
                        p.kernels[k].shared.remove(i);
                    },
                );
                self.add(
                    "a crooked region",
                    |f| matches!(f, Fault::Misaligned { .. }),
                    |p| {
                        p.kernels[k].shared[i].offset += 16;
                    },
                );
            }
        }
    }

    fn groups(&mut self, k: usize, kernel: &DeviceKernel) {
        for (g, group) in kernel.pipeline.groups.iter().enumerate() {
            let beyond = kernel.form.threads;
            self.add(
                "a group beyond the CTA",
                |f| matches!(f, Fault::GroupBeyond { .. }),
                |p| {
                    p.kernels[k].pipeline.groups[g].first = beyond;
                },
            );
            if g > 0 {
                self.add(
                    "groups that meet",
                    |f| matches!(f, Fault::GroupsOverlap { .. }),
                    |p| {
                        let groups = &mut p.kernels[k].pipeline.groups;
                        groups[g].first = groups[0].first;
                    },
                );
            }
            self.add(
                "teams of no whole warps",
                |f| matches!(f, Fault::Teams { .. }),
                |p| {
                    p.kernels[k].pipeline.groups[g].teams = group.threads * 2;
                },
            );
            for (s, step) in group.steps.iter().enumerate() {
                self.step(k, (g, s), *step);
            }
            for s in 0..group.before.len() {
                let late = |f: &Fault| {
                    matches!(
                        f,
                        Fault::Deadlock { .. } | Fault::Untaken { .. } | Fault::Credit { .. }
                    )
                };
                self.add("a step less before the first item", late, |p| {
                    p.kernels[k].pipeline.groups[g].before.remove(s);
                });
            }
        }
    }

    fn step(&mut self, k: usize, (g, s): (usize, usize), step: Step) {
        self.add(
            "a step less",
            |f| matches!(f, Fault::Actors { .. }),
            |p| {
                p.kernels[k].pipeline.groups[g].steps.remove(s);
            },
        );
        let no = |f: &Fault| matches!(f, Fault::NoChannel(_));
        self.add("a channel that is not there", no, |p| {
            p.kernels[k].pipeline.groups[g].steps[s].channel = "nowhere";
        });
        match step.act {
            Act::Free => self.add(
                "freed before it is read",
                |f| matches!(f, Fault::Unread { .. }),
                |p| {
                    p.kernels[k].pipeline.groups[g].steps[s].shift += 100;
                },
            ),
            Act::Fill => self.add(
                "filled before it is taken",
                |f| matches!(f, Fault::Untaken { .. }),
                |p| {
                    p.kernels[k].pipeline.groups[g].steps[s].shift += 100;
                },
            ),
            Act::Claim => self.add(
                "taken while it is in use",
                |f| matches!(f, Fault::Credit { .. }),
                |p| {
                    let steps = &mut p.kernels[k].pipeline.groups[g].steps;
                    let takes = |t: &&mut Step| matches!(t.act, Act::Claim | Act::Fill);
                    let same = steps.iter_mut().filter(|t| t.channel == step.channel).filter(takes);
                    same.for_each(|t| t.shift += 100);
                },
            ),
            Act::Await => self.add(
                "awaited before it can be there",
                |f| matches!(f, Fault::Deadlock { .. }),
                |p| {
                    p.kernels[k].pipeline.groups[g].steps[s].shift += 100;
                },
            ),
            Act::Reserve => self.add(
                "reserved before it can be free",
                |f| matches!(f, Fault::Deadlock { .. }),
                |p| {
                    p.kernels[k].pipeline.groups[g].steps[s].shift += 1000;
                },
            ),
        }
    }

    fn channels(&mut self, k: usize, kernel: &DeviceKernel) {
        for (c, channel) in kernel.pipeline.channels.iter().enumerate() {
            let stuck = |f: &Fault| {
                matches!(f, Fault::Deadlock { .. } | Fault::Credit { .. } | Fault::Sizes { .. })
            };
            self.add("no places", stuck, |p| p.kernels[k].pipeline.channels[c].slots = 0);
            self.barrier(k, c, |c| &mut c.full, channel.full);
            self.barrier(k, c, |c| &mut c.empty, channel.empty);
        }
    }

    fn barrier(
        &mut self,
        k: usize,
        c: usize,
        of: fn(&mut Channel) -> &mut Barrier,
        barrier: Barrier,
    ) {
        let mut with = |name, fits: fn(&Fault) -> bool, barrier| {
            self.add(name, fits, |p| *of(&mut p.kernels[k].pipeline.channels[c]) = barrier);
        };
        match barrier {
            Barrier::Mbarrier { name, arrivals, by } => {
                let fits = |f: &Fault| matches!(f, Fault::Arrivals { .. });
                let other = |arrivals| Barrier::Mbarrier { name, arrivals, by };
                with("one arrival more", fits, other(arrivals + 1));
                with("one arrival less", fits, other(arrivals - 1));
            }
            Barrier::Cta { threads } => {
                let fits = |f: &Fault| matches!(f, Fault::Divergent { .. });
                with("a barrier of fewer threads", fits, Barrier::Cta { threads: threads - 32 });
            }
            Barrier::Grid { ctas } => {
                let fits = |f: &Fault| matches!(f, Fault::Divergent { .. });
                with("a barrier of fewer CTAs", fits, Barrier::Grid { ctas: ctas - 1 });
            }
            Barrier::Peer(word) => {
                let mut other = word;
                if word.publishes {
                    other.release = false;
                    let fits = |f: &Fault| matches!(f, Fault::Unreleased { .. });
                    with("no release", fits, Barrier::Peer(other));
                }
                other = word;
                other.acquire = false;
                let fits = |f: &Fault| matches!(f, Fault::Unacquired { .. });
                with("no acquire", fits, Barrier::Peer(other));
                other = word;
                other.timeout = false;
                let fits = |f: &Fault| matches!(f, Fault::Endless { .. });
                with("no timeout", fits, Barrier::Peer(other));
            }
            Barrier::Order => {}
        }
    }

    /// Sizes that the strategy and its channels agree on.
    fn mail(&mut self, k: usize, kernel: &DeviceKernel) {
        let Strategy::Ring(ring) = &kernel.strategy else { return };
        self.add(
            "fewer places than the strategy says",
            |f| matches!(f, Fault::Sizes { .. }),
            |p| {
                let rows = p.kernels[k].pipeline.channels.iter_mut().find(|c| c.name == "rows");
                rows.expect("it has rows").slots -= 1;
            },
        );
        if ring.mail.is_none() {
            return;
        }
        self.add(
            "fewer places for mail",
            |f| matches!(f, Fault::Credit { .. }),
            |p| {
                let kernel = &mut p.kernels[k];
                if let Strategy::Ring(ring) = &mut kernel.strategy
                    && let Some(mail) = &mut ring.mail
                {
                    mail.places -= 1;
                }
                let places = kernel.pipeline.channels.iter_mut();
                places.filter(|c| matches!(c.name, "mail" | "asked")).for_each(|c| c.slots -= 1);
            },
        );
        self.add(
            "rows asked for further ahead",
            |f| matches!(f, Fault::Credit { .. }),
            |p| {
                let steps = p.kernels[k].pipeline.groups.iter_mut().flat_map(|g| &mut g.steps);
                steps.filter(|s| s.shift > 0).for_each(|s| s.shift += 1);
            },
        );
        self.add(
            "less mail in the workspace",
            |f| matches!(f, Fault::Small { .. }),
            |p| {
                let fields = p.workspaces.iter_mut().flat_map(|w| &mut w.fields);
                let mail = fields
                    .filter(|f| matches!(f.what, What::Mail(_) | What::Came(_) | What::Asked(_)));
                mail.for_each(|f| f.bytes -= 4);
            },
        );
    }

    fn roles(&mut self, k: usize, kernel: &DeviceKernel) {
        let broken = |f: &Fault| matches!(f, Fault::Obligation(_));
        for (r, role) in kernel.roles.iter().enumerate() {
            for (o, op) in role.ops.iter().enumerate() {
                let name = match op {
                    Op::Signal { .. } => "a signal less",
                    Op::Wait { .. } => "a wait less",
                    Op::Reset { .. } if role.kind == RoleKind::Plan => continue,
                    Op::Reset { .. } => "a reset less",
                    // A barrier before which nothing was done speaks for no other CTA.
                    Op::Barrier if role.kind == RoleKind::Close => "a barrier less",
                    Op::Once { .. } if role.kind == RoleKind::Close => "a handshake less",
                    _ => continue,
                };
                if self.program.schedule.ranks > 1 {
                    self.add(name, broken, |p| _ = p.kernels[k].roles[r].ops.remove(o));
                }
            }
            let loose = Op::Reduce { factors: Vec::new(), run: 1 };
            self.add(
                "an op that nothing prints",
                |f| matches!(f, Fault::Gap(_)),
                |p| {
                    p.kernels[k].roles[r].ops.push(loose);
                },
            );
        }
        if !kernel.zeroed.is_empty() {
            self.add("counters that are not zeroed", broken, |p| p.kernels[k].zeroed.clear());
        }
        let moves = matches!(kernel.strategy, Strategy::Bulk(_) | Strategy::Ring(_));
        if kernel.form.alone && self.program.schedule.ranks > 1 && moves {
            self.add("ranks of several devices without handshakes", broken, |p| {
                p.kernels[k].form.alone = false;
            });
        }
        let epoch = kernel.epoch.as_ref().filter(|e| e.told == Told::Awaited);
        if let Some(epoch) = epoch.map(|e| e.kernel.clone()) {
            self.add(
                "no counter of launches",
                |f| matches!(f, Fault::NoRegion(_)),
                |p| {
                    let what = What::Epoch(epoch);
                    p.workspaces.iter_mut().for_each(|w| w.fields.retain(|f| f.what != what));
                },
            );
        }
    }

    fn workspaces(&mut self) {
        for w in 0..self.program.workspaces.len() {
            let workspace = self.program.workspaces[w].clone();
            if workspace.fields.len() > 1 && workspace.fields[1].bytes > 0 {
                self.add(
                    "a field on another",
                    |f| matches!(f, Fault::Overlap { .. }),
                    |p| {
                        p.workspaces[w].fields[1].offset = p.workspaces[w].fields[0].offset;
                    },
                );
            }
            self.add(
                "a crooked field",
                |f| matches!(f, Fault::Misaligned { .. }),
                |p| {
                    p.workspaces[w].fields[0].offset += 4;
                },
            );
            self.add(
                "a workspace too small",
                |f| matches!(f, Fault::Beyond { .. }),
                |p| {
                    p.workspaces[w].bytes = 0;
                },
            );
            let signal = workspace.fields.iter().find(|f| matches!(f.what, What::Signal(_)));
            if let Some(signal) = signal.cloned() {
                self.add(
                    "a signal of two workspaces",
                    |f| matches!(f, Fault::Signal { .. }),
                    |p| {
                        p.workspaces[w].fields.push(signal.clone());
                    },
                );
                self.add(
                    "a signal without a slot",
                    |f| matches!(f, Fault::Signal { .. }),
                    |p| {
                        p.workspaces[w].fields.retain(|f| f.what != signal.what);
                    },
                );
            }
        }
    }
}

/// Whether its CTAs wait for others.
fn waits(kernel: &DeviceKernel) -> bool {
    let ops = kernel.roles.iter().flat_map(|r| &r.ops);
    let mut barriers = kernel.pipeline.channels.iter().flat_map(|c| [c.full, c.empty]);
    ops.clone().any(|op| matches!(op, Op::Barrier | Op::Wait { .. }))
        || barriers.any(|b| matches!(b, Barrier::Grid { .. } | Barrier::Peer(_)))
}

/// What changes gave, by their names: how many were refused as they must be, and which were not.
fn judged((case, program, params): Case, seen: &mut BTreeMap<&'static str, usize>) -> Vec<String> {
    let compiled = compiled(program, params);
    let mut wrong = Vec::new();
    for ranks in shares(&compiled) {
        let program = device(&compiled, &Target::hopper(ranks));
        for mutant in (Mutants { program, out: Vec::new() }).all() {
            match verify(mutant.program) {
                Ok(_) => wrong.push(format!("{case}/{ranks}: {}: accepted", mutant.name)),
                Err(found) if found.iter().any(|f| (mutant.fits)(&f.fault)) => {
                    *seen.entry(mutant.name).or_default() += 1;
                }
                Err(found) => {
                    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                    wrong.push(format!("{case}/{ranks}: {}: {found:?}", mutant.name));
                }
            }
        }
    }
    wrong
}

#[test]
fn mutated_device_programs_are_refused_each_by_its_fault() {
    let mut seen = BTreeMap::new();
    let wrong: Vec<String> = CASES.into_iter().flat_map(|case| judged(case, &mut seen)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.len() > 40, "only {seen:#?}");
}
