//! `docs/wit.md`: the reference of what plugins and host say to each other, from `wit/`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use wit_parser::{
    Function, FunctionKind, Handle, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, WorldItem,
    WorldKey,
};

use crate::paths::Paths;

/// Writes the reference.
pub fn write(paths: &Paths) -> Result<()> {
    let file = file(paths);
    fs::write(&file, render(paths)?).with_context(|| format!("cannot write {}", file.display()))
}

/// Whether the reference says what `wit/` says.
pub fn check(paths: &Paths) -> Result<()> {
    let file = file(paths);
    let there = fs::read_to_string(&file).unwrap_or_default();
    if there != render(paths)? {
        bail!(
            "{} is not what wit/ says: run `cargo xtask docs`",
            file.display()
        );
    }
    Ok(())
}

fn file(paths: &Paths) -> PathBuf {
    paths.root.join("docs/wit.md")
}

fn render(paths: &Paths) -> Result<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(paths.root.join("wit"))?;
    let package = &resolve.packages[package];
    let version = package.name.version.as_ref();
    let version = version.context("the package in wit/ has no version")?;
    let name = format!("{}:{}", package.name.namespace, package.name.name);
    let mut page = Page {
        resolve: &resolve,
        text: format!(
            "<!-- Made by `cargo xtask docs` from wit/: change it there. -->\n\
             # The interfaces of `{name}@{version}`\n"
        ),
    };
    page.paragraph(package.docs.contents.as_deref());
    // Whatever the order is in which the files were read.
    for (interface, id) in package.interfaces.iter().collect::<BTreeMap<_, _>>() {
        page.interface(interface, *id);
    }
    page.text.push_str("\n## Worlds\n");
    for (world, id) in &package.worlds {
        page.world(world, &resolve.worlds[*id]);
    }
    Ok(page.text)
}

struct Page<'a> {
    resolve: &'a Resolve,
    text: String,
}

impl Page<'_> {
    fn paragraph(&mut self, docs: Option<&str>) {
        if let Some(docs) = docs {
            let _ = write!(self.text, "\n{}\n", docs.trim());
        }
    }

    fn code(&mut self, code: &str) {
        let _ = write!(self.text, "\n```wit\n{code}\n```\n");
    }

    fn interface(&mut self, name: &str, id: InterfaceId) {
        let resolve = self.resolve;
        let interface = &resolve.interfaces[id];
        let _ = write!(self.text, "\n## `{name}`\n");
        self.paragraph(interface.docs.contents.as_deref());
        let functions = || interface.functions.values();
        for function in functions().filter(|function| function.kind.resource().is_none()) {
            self.function(function, &function.name);
        }
        for (name, id) in &interface.types {
            let ty = &resolve.types[*id];
            // What `use` brings in is told where it is from.
            if matches!(ty.kind, TypeDefKind::Type(Type::Id(_))) {
                continue;
            }
            self.type_def(name, ty);
            for method in functions().filter(|function| function.kind.resource() == Some(*id)) {
                self.function(method, &format!("{name}.{}", method.item_name()));
            }
        }
    }

    fn function(&mut self, function: &Function, title: &str) {
        let own = usize::from(matches!(
            function.kind,
            FunctionKind::Method(_) | FunctionKind::AsyncMethod(_)
        ));
        let params: Vec<String> = function.params[own..]
            .iter()
            .map(|param| format!("{}: {}", param.name, self.name(&param.ty)))
            .collect();
        let mut code = format!("{}: func({})", function.item_name(), params.join(", "));
        if let Some(result) = &function.result {
            let _ = write!(code, " -> {}", self.name(result));
        }
        let _ = write!(self.text, "\n### `{title}`\n");
        self.code(&code);
        self.paragraph(function.docs.contents.as_deref());
    }

    fn type_def(&mut self, name: &str, ty: &TypeDef) {
        let _ = write!(self.text, "\n### {} `{name}`\n", ty.kind.as_str());
        self.paragraph(ty.docs.contents.as_deref());
        let row = |name: &str, ty: Option<&Type>, docs: Option<&String>| {
            let ty = ty.map_or(String::new(), |ty| format!("`{}`", self.name(ty)));
            let docs = docs.map_or(String::new(), |docs| docs.trim().replace('\n', " "));
            format!("| `{name}` | {ty} | {} |\n", docs.replace('|', "\\|"))
        };
        let rows: Vec<String> = match &ty.kind {
            TypeDefKind::Record(record) => record
                .fields
                .iter()
                .map(|field| row(&field.name, Some(&field.ty), field.docs.contents.as_ref()))
                .collect(),
            TypeDefKind::Variant(variant) => variant
                .cases
                .iter()
                .map(|case| row(&case.name, case.ty.as_ref(), case.docs.contents.as_ref()))
                .collect(),
            TypeDefKind::Enum(list) => list
                .cases
                .iter()
                .map(|case| row(&case.name, None, case.docs.contents.as_ref()))
                .collect(),
            TypeDefKind::Flags(flags) => flags
                .flags
                .iter()
                .map(|flag| row(&flag.name, None, flag.docs.contents.as_ref()))
                .collect(),
            TypeDefKind::Resource => return,
            _ => {
                let code = format!("type {name} = {}", self.structure(ty));
                return self.code(&code);
            }
        };
        self.text.push_str("\n| | | |\n|---|---|---|\n");
        self.text.extend(rows);
    }

    fn world(&mut self, name: &str, world: &wit_parser::World) {
        let _ = write!(self.text, "\n### `{name}`\n");
        self.paragraph(world.docs.contents.as_deref());
        let mut code = String::new();
        for (verb, items) in [("import", &world.imports), ("export", &world.exports)] {
            for (key, item) in items {
                let name = self.resolve.name_world_key(key);
                match (key, item) {
                    (_, WorldItem::Interface { .. }) => {
                        let _ = writeln!(code, "{verb} {name};");
                    }
                    (WorldKey::Name(_), WorldItem::Function(_)) => {
                        let _ = writeln!(code, "{verb} {name}: func;");
                    }
                    _ => {}
                }
            }
        }
        self.code(code.trim_end());
    }

    /// A type as WIT writes it where it is used.
    fn name(&self, ty: &Type) -> String {
        let name = match ty {
            Type::Bool => "bool",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S8 => "s8",
            Type::S16 => "s16",
            Type::S32 => "s32",
            Type::S64 => "s64",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::Char => "char",
            Type::String => "string",
            Type::ErrorContext => "error-context",
            Type::Id(id) => {
                let ty = &self.resolve.types[*id];
                return ty.name.clone().unwrap_or_else(|| self.structure(ty));
            }
        };
        name.to_owned()
    }

    fn structure(&self, ty: &TypeDef) -> String {
        let optional = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| self.name(ty));
        match &ty.kind {
            TypeDefKind::Handle(Handle::Own(id)) => self.name(&Type::Id(*id)),
            TypeDefKind::Handle(Handle::Borrow(id)) => {
                format!("borrow<{}>", self.name(&Type::Id(*id)))
            }
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Option(ty) => format!("option<{}>", self.name(ty)),
            TypeDefKind::List(ty) => format!("list<{}>", self.name(ty)),
            TypeDefKind::FixedLengthList(ty, length) => {
                format!("list<{}, {length}>", self.name(ty))
            }
            TypeDefKind::Map(key, value) => {
                format!("map<{}, {}>", self.name(key), self.name(value))
            }
            TypeDefKind::Result(result) => match (&result.ok, &result.err) {
                (None, None) => "result".to_owned(),
                (Some(ok), None) => format!("result<{}>", self.name(ok)),
                (ok, err) => format!("result<{}, {}>", optional(ok), optional(err)),
            },
            TypeDefKind::Future(ty) => format!("future<{}>", optional(ty)),
            TypeDefKind::Stream(ty) => format!("stream<{}>", optional(ty)),
            TypeDefKind::Type(ty) => self.name(ty),
            other => other.as_str().to_owned(),
        }
    }
}
