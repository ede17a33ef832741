module holdfast.test/corpus

go 1.24
