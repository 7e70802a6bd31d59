//! What the signal's handler must know of a component's compiled code.
#![cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    expect(dead_code, reason = "for the signal's handler")
)]

use std::ops::Range;

use object::read::elf::{ElfFile64, Sym};
use object::{Endianness, Object, ObjectSection, ObjectSymbol};
use wasmtime::component::Component;
use wasmtime_environ::obj::ELF_WASMTIME_TRAPS;
use wasmtime_environ::{CompiledTrap, Trap, iterate_traps};

/// Functions begin at multiples of this.
const PADDING: usize = 32;
/// `ud2`, which is what `unreachable` becomes.
const TRAP: &[u8] = &[0x0f, 0x0b];

/// Where the functions of a component lie in this process, as opposed to what leads in
/// and out of them, and where one of them traps.
#[derive(Debug)]
pub(crate) struct Code {
    /// In order, of neighbours.
    functions: Vec<Range<usize>>,
    trap: usize,
}

impl Code {
    /// Reads it from what wasmtime made of the component. None if the component has no
    /// `unreachable`, which hardly any program does without.
    pub(crate) fn of(component: &Component) -> Option<Self> {
        let image = component.image_range();
        // SAFETY: wasmtime keeps the image in place, and as it is, as long as there is
        // the component.
        let image = unsafe {
            std::slice::from_raw_parts(image.start, image.end.offset_from_unsigned(image.start))
        };
        let file = ElfFile64::<Endianness>::parse(image).ok()?;
        let section = file.section_by_name(".text")?;
        let text = section.data().ok()?;
        let base = text.as_ptr().addr();

        // Looked at where they begin only: finding their ends takes as long as all else.
        let names = file.elf_symbol_table().string_section();
        let names = file.section_by_index(names).ok()?.data().ok()?;
        // As they come, so that tens of thousands leave few ranges: they mostly lie in
        // order, with what is no function apart.
        let mut functions: Vec<Range<usize>> = Vec::new();
        let mut neighbour = false;
        for symbol in file.symbols() {
            if symbol.section_index() != Some(section.index()) {
                continue;
            }
            let name = usize::try_from(symbol.elf_symbol().st_name(file.endian())).ok()?;
            let function = names.get(name..).is_some_and(is_function);
            if function {
                let start = base.checked_add(usize::try_from(symbol.address()).ok()?)?;
                let end = start.checked_add(usize::try_from(symbol.size()).ok()?)?;
                match functions.last_mut() {
                    Some(last) if neighbour && (last.end..last.end + PADDING).contains(&start) => {
                        last.end = end;
                    }
                    _ => functions.push(start..end),
                }
            }
            neighbour = function;
        }
        functions.sort_unstable_by_key(|range| range.start);

        let traps = file.section_by_name(ELF_WASMTIME_TRAPS)?.data().ok()?;
        let trap = iterate_traps(traps)?.find_map(|(offset, trap)| {
            let offset = usize::try_from(offset).ok()?;
            let here = matches!(trap, CompiledTrap::Normal(Trap::UnreachableCodeReached))
                && text.get(offset..)?.starts_with(TRAP);
            here.then_some(base + offset)
        })?;
        Some(Self { functions, trap })
    }

    /// Whether an instruction belongs to one of the functions.
    pub(super) fn has(&self, instruction: usize) -> bool {
        let after = self
            .functions
            .partition_point(|range| range.start <= instruction);
        after > 0 && self.functions[after - 1].contains(&instruction)
    }

    /// The address of an instruction that traps.
    pub(super) fn trap(&self) -> usize {
        self.trap
    }
}

/// Whether the name of a symbol, and whatever comes after it, is that of a function of a
/// core module: `wasm[1]::function[23]`, and its name if it has one.
fn is_function(symbol: &[u8]) -> bool {
    symbol.strip_prefix(b"wasm[").is_some_and(|rest| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest[digits..].starts_with(b"]::function[")
    })
}
