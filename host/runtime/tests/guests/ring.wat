;; A plugin that asks the next of a ring and hands on the answer. `THIS` and `NEXT`
;; stand for names.
(component
  (import "test:ring/NEXT@0.1.0" (instance $next
    (export "go" (func (result (result u32 (error string)))))))
  (core module $heap
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $top)
      (global.set $top (i32.add (global.get $top) (local.get 3))))
    (func (export "free") (param i32) (global.set $top (i32.const 1024))))
  (core instance $heap (instantiate $heap))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "realloc" (core func $realloc))
  (alias core export $heap "free" (core func $free))
  (core func $ask (canon lower (func $next "go") (memory $memory) (realloc $realloc)))
  (core module $main
    (import "host" "ask" (func $ask (param i32)))
    (func (export "go") (result i32) (call $ask (i32.const 16)) (i32.const 16)))
  (core instance $main (instantiate $main
    (with "host" (instance (export "ask" (func $ask))))))
  (func $go (result (result u32 (error string)))
    (canon lift (core func $main "go") (memory $memory) (realloc $realloc) (post-return $free)))
  (instance $this (export "go" (func $go)))
  (export "test:ring/THIS@0.1.0" (instance $this)))
